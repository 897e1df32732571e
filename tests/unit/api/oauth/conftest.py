"""The application with a clock moved by hand, and the requests of OAuth's clients."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from tests.fakes import callers
from tests.fakes.api_house import Answer, ApiHouse
from tests.unit.access.oauth.conftest import HandClock

from headgate.access.attempts import Attempts

SECRETS = "/api/2.0/accounts/servicePrincipals/{}/credentials/secrets"


async def at_once(_seconds: float) -> None:
    """Nobody waits in these tests."""


class OAuthHouse(ApiHouse):
    """With what its clients send."""

    clock: HandClock

    def form(self, path: str, given: dict[str, str], **headers: str) -> Answer:
        """A form, posted without a token."""
        kind = {"content-type": "application/x-www-form-urlencoded"}
        return self.request("POST", path, urlencode(given).encode(), token="", headers=kind | headers)

    def token(self, basic: tuple[str, str] | None = None, **given: str) -> Answer:
        """What the token endpoint answers."""
        more = {}
        if basic is not None:
            more["authorization"] = f"Basic {base64.b64encode(':'.join(basic).encode()).decode()}"
        return self.form("/oidc/v1/token", given, **more)

    def as_token(self, token: str, method: str, path: str, body: Any = None) -> Answer:
        return self.request(method, path, body, token=token)

    def robot(self, name: str, *groups: str) -> Robot:
        """A service principal with a secret."""
        made = callers.service_principal(self.as_admin, name, groups)
        secret = self.as_admin("POST", SECRETS.format(made.id), {})
        return Robot(self, made.id, made.name, secret["id"], secret["secret"])


@dataclass
class Robot:
    """A service principal that asks for tokens."""

    house: OAuthHouse
    id: str
    client_id: str
    secret_id: str
    secret: str

    def ask(self, **more: str) -> Answer:
        given = {"grant_type": "client_credentials", "scope": "all-apis", **more}
        return self.house.token((self.client_id, self.secret), **given)

    def token(self, **more: str) -> str:
        answer = self.ask(**more)
        assert answer.status == 200, answer.raw
        return str(answer.body["access_token"])


@pytest.fixture(scope="module")
def oauth(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OAuthHouse]:
    clock = HandClock()
    house = OAuthHouse(tmp_path_factory.mktemp("oauth"), clock=clock, attempts=Attempts(clock, sleep=at_once))
    house.clock = clock
    yield house
    house.close()
