"""Users and tokens on two server processes: what was changed holds on both at once, survives kill -9, and an absent database."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.fakes import callers
from tests.fakes.callers import SCIM, Caller
from tests.scenario.house import TOKEN, House, until

pytestmark = pytest.mark.scenario
ME = f"{SCIM}/Me"
MANAGED = "/api/2.0/token-management/tokens"
SETTINGS = {"HEADGATE_WORKERS": "2", "HEADGATE_LIMITS_REFUSALS_PER_MINUTE": "10000"}
MANY = 16
"""Requests on connections of their own: enough for both servers to get some."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("identity") / "data", **SETTINGS) as made:
        yield made


@pytest.fixture
def user(house: House) -> Caller:
    return new_user(house)


def new_user(house: House) -> Caller:
    return callers.user(callers.over_http(house.url, TOKEN), f"{uuid.uuid4().hex}@example.com")


def seen(house: House, token: str, times: int = MANY) -> set[int]:
    return {house.request("GET", ME, token=token).status for _ in range(times)}


def token_id(house: House, who: Caller) -> str:
    listed = house.request("GET", MANAGED).json["token_infos"]
    (found,) = [one["token_id"] for one in listed if str(one["owner_id"]) == who.id]
    return str(found)


def revoke(house: House, who: Caller) -> None:
    assert house.request("DELETE", f"{MANAGED}/{token_id(house, who)}").status == 200


def deactivate(house: House, who: Caller) -> None:
    operation = {"op": "replace", "path": "active", "value": "false"}
    assert house.request("PATCH", f"{SCIM}/Users/{who.id}", {"Operations": [operation]}).status == 200


def delete(house: House, who: Caller) -> None:
    assert house.request("DELETE", f"{SCIM}/Users/{who.id}").status == 204


@pytest.mark.parametrize("end", [revoke, deactivate, delete])
def test_when_the_call_returns_every_server_refuses_the_token(
    house: House, user: Caller, end: Callable[[House, Caller], None]
) -> None:
    assert seen(house, user.token) == {200}
    end(house, user)
    assert seen(house, user.token) == {401}
    assert seen(house, TOKEN) == {200}


def test_the_data_plane_refuses_it_as_well(house: House, user: Caller) -> None:
    def status() -> set[int]:
        path = "/serving-endpoints/nothing/invocations"
        return {house.request("POST", path, {}, token=user.token).status for _ in range(MANY)}

    assert status() == {404}
    revoke(house, user)
    assert status() == {401}


def test_a_token_expires_on_every_server_by_the_clock(house: House, user: Caller) -> None:
    def used(lifetime_s: int) -> str | None:
        """A token that was good when it was used; None when the machine took longer than its life."""
        body = {"lifetime_seconds": lifetime_s}
        made = house.request("POST", "/api/2.0/token/create", body, token=user.token).json
        return str(made["token_value"]) if house.request("GET", ME, token=made["token_value"]).status == 200 else None

    brief = next(token for lifetime_s in (2, 10, 60) if (token := used(lifetime_s)))
    until(lambda: house.request("GET", ME, token=brief).status == 401, "the token expires")
    assert seen(house, brief) == {401} and seen(house, user.token) == {200}


def test_membership_of_admins_holds_at_once_on_every_server(house: House, user: Caller) -> None:
    def may() -> set[int]:
        return {house.request("GET", MANAGED, token=user.token).status for _ in range(MANY)}

    assert may() == {403}
    for op, path, value, statuses in (
        ("add", "members", [{"value": user.id}], {200}),
        ("remove", f'members[value eq "{user.id}"]', None, {403}),
    ):
        operations = [{"op": op, "path": path, "value": value}]
        assert house.request("PATCH", f"{SCIM}/Groups/2", {"Operations": operations}).status == 200
        assert may() == statuses


def test_a_server_that_takes_a_killed_one_s_place_knows_everybody(house: House, user: Caller) -> None:
    gone = new_user(house)
    revoke(house, gone)
    before = house.pids("server")
    for pid in before:
        house.kill(pid)
    until(lambda: len(set(house.pids("server")) - set(before)) == 2 and house.healthy(), "two new servers")
    assert seen(house, user.token) == {200} and seen(house, gone.token) == {401}


def test_when_a_token_was_last_used_is_written_down_at_the_latest_when_the_server_stops(
    house: House, user: Caller
) -> None:
    assert seen(house, user.token) == {200}
    assert house.stop() == 0
    house.start()
    info = house.request("GET", f"{MANAGED}/{token_id(house, user)}").json["token_info"]
    assert info["last_used_day"] > 0


def test_what_was_answered_survives_kill_9_of_everything(house: House, user: Caller) -> None:
    gone = new_user(house)
    revoke(house, gone)
    house.kill_everything()
    house.start()
    assert seen(house, user.token) == {200} and seen(house, gone.token) == {401}


def test_guessing_is_held_back_on_every_door_said_once_and_counted_and_good_tokens_go_on(tmp_path: Path) -> None:
    with House(tmp_path / "data", HEADGATE_LIMITS_REFUSALS_PER_MINUTE="3") as house:
        paths = (("GET", ME), ("POST", "/serving-endpoints/nothing/invocations"), ("GET", "/metrics"), ("GET", ME))
        for method, path in paths:
            assert house.request(method, path, token="a-guess").status == 401
        assert house.request("GET", ME).status == 200
        shown = house.request("GET", "/metrics").body.decode()
        assert 'headgate_authentication_failures_total{answer="at_once"} 3' in shown
        assert 'headgate_authentication_failures_total{answer="held_back"} 1' in shown
        log = house.log.read_text()
        assert log.count("4 credentials from 127.0.0.1 were refused") == 1 and "a-guess" not in log


# -- without a database ---------------------------------------------------------------------------------------------


@contextmanager
def database() -> Iterator[tuple[str, Callable[[bool], None]]]:
    """URL of a PostgreSQL database of its own, and what lets it be reached or not."""
    url = os.environ.get("HEADGATE_TEST_POSTGRESQL_URL", "")
    if not url:
        pytest.skip("HEADGATE_TEST_POSTGRESQL_URL is not set")
    name = f"headgate_{uuid.uuid4().hex[:12]}"
    server = sa.create_engine(url, isolation_level="AUTOCOMMIT")

    def run(*statements: str) -> None:
        with server.connect() as connection:
            for statement in statements:
                connection.execute(sa.text(statement))

    def reachable(wanted: bool) -> None:
        run(
            f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS {'true' if wanted else 'false'}",
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
        )

    run(f"CREATE DATABASE {name}")
    yield sa.make_url(url).set(database=name).render_as_string(hide_password=False), reachable
    run(f"DROP DATABASE {name} WITH (FORCE)")
    server.dispose()


def test_while_the_database_is_away_whoever_is_known_is_let_in_and_nobody_else(tmp_path: Path) -> None:
    with database() as (url, reachable), House(tmp_path / "data", HEADGATE_DATABASE_URL=url, **SETTINGS) as house:
        user, gone, idle = new_user(house), new_user(house), new_user(house)
        revoke(house, gone)
        assert seen(house, user.token) == {200}
        reachable(False)
        assert seen(house, user.token) == {200} and seen(house, gone.token) == {401}
        assert seen(house, idle.token) == {200}, "also one that was never used before"
        assert house.request("POST", f"{SCIM}/Users", {"userName": "late@example.com"}).status >= 500
        reachable(True)
        made = {"userName": "late@example.com"}
        until(lambda: house.request("POST", f"{SCIM}/Users", made).status in (201, 409), "users can be made again")
        revoke(house, user)
        assert seen(house, user.token) == {401}
