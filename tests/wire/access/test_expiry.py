"""Every kind of credential ends when it says, at both doors of a running house. To the millisecond: unit tests with a clock by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.fakes import callers
from tests.scenario.house import TOKEN, Answer, House, until
from tests.wire.access.table.rows import FORM
from tests.wire.access.world import World

pytestmark = [pytest.mark.wire, pytest.mark.scenario]
LIFE_S = "10"
ME = "/api/2.0/preview/scim/v2/Me"
INVOCATIONS = "/serving-endpoints/nobodys/invocations"


def test_tokens_secrets_and_sessions_end_when_they_say(tmp_path: Path) -> None:
    lives = {"HEADGATE_OAUTH_TOKEN_LIFE_S": LIFE_S, "HEADGATE_LOGIN_SESSION_LIFE_S": LIFE_S}
    with House(tmp_path / "data", HEADGATE_WORKERS="2", **lives) as house:
        world = World(house, {"admin": f"Bearer {TOKEN}"})
        ask = callers.over_http(house.url, TOKEN)
        client, secret = _client(ask)

        def personal() -> str:
            made = ask("POST", "/api/2.0/token/create", {"lifetime_seconds": int(LIFE_S)})
            return f"Bearer {made['token_value']}"

        def oauth() -> str:
            issued = _log_in(world, *_client(ask))
            assert issued.status != 200 or issued.json["expires_in"] == int(LIFE_S)
            return f"Bearer {issued.json.get('access_token')}"

        def good(bearer: str) -> str | None:
            """At both doors; None also where the machine took longer than its life."""
            statuses = [world.send("GET", ME, authorization=bearer).status]
            statuses.append(world.send("POST", INVOCATIONS, {}, authorization=bearer).status)
            return bearer if statuses == [200, 404] else None

        bearers = {made.__name__: until(lambda made=made: good(made()), made.__name__) for made in (personal, oauth)}  # type: ignore[misc]
        cookie = until(lambda: _is_logged_in(world, made := _session(world)) and made, "a session")

        for name, bearer in bearers.items():
            for method, path in (("GET", ME), ("POST", INVOCATIONS)):
                until(lambda: world.send(method, path, {}, authorization=bearer).status == 401, f"{name} at {path}")  # noqa: B023
        until(lambda: not _is_logged_in(world, cookie), "the session ends")
        until(lambda: _log_in(world, client, secret).status != 200, "the secret ends")
        assert _log_in(world, client, secret).json["error"] == "invalid_client"
        world.close()


def _client(ask: callers.Ask) -> tuple[str, str]:
    """A service principal's id as a client, and a secret that lives shortly."""
    made = ask("POST", f"{callers.SCIM}/ServicePrincipals", {"displayName": "short"})
    path = f"/api/2.0/accounts/servicePrincipals/{made['id']}/credentials/secrets"
    return made["applicationId"], ask("POST", path, {"lifetime": f"{LIFE_S}s"})["secret"]


def _log_in(world: World, client: str, secret: str) -> Answer:
    form = {"grant_type": "client_credentials", "client_id": client, "client_secret": secret}
    return world.send("POST", "/oidc/v1/token", {FORM: form}, authorization=None)


def _session(world: World) -> str:
    """A browser's cookie after the form of our page was sent."""
    form: Any = {FORM: {"token": TOKEN}}
    answer = world.send("POST", "/login", form, authorization=None, headers={"Origin": world.house.url})
    assert answer.status == 303, answer
    return answer.headers["set-cookie"].partition(";")[0]


def _is_logged_in(world: World, cookie: str) -> bool:
    return b"You are logged in" in world.send("GET", "/login", authorization=None, headers={"Cookie": cookie}).body
