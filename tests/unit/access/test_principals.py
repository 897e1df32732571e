"""Who is let in."""

from __future__ import annotations

import base64
import dataclasses
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command

from headgate import errors
from headgate.access import bootstrap
from headgate.access.directory import Directory
from headgate.access.principals import Authenticator, VerifiedToken, token_hash
from headgate.access.sealing import Keyring, Sealer
from headgate.clock import SystemClock
from headgate.domain.identity import AccessToken, Group, Population, ServicePrincipal, User
from headgate.settings import Settings
from headgate.store import leases, schema
from headgate.store.database import Database
from headgate.store.identities import Identities

SEALER = Sealer(Keyring([bytes(32)]))
NOW_MS = 1_800_000_000_000
CLEO = User("11", "cleo@example.com", "Cleo", entitlements=("databricks-sql-access",))
ROBOT = ServicePrincipal("12", "5f0c7a54-1b7c-4a39-a4fb-2b8d4c3f1e55", "robot")
GONE = User("13", "gone@example.com", active=False)
TEAM = Group("21", "team", frozenset({"11"}), entitlements=("workspace-access",))
ADMINS = Group("2", "admins", frozenset({"21"}))
USERS = Group("3", "users")


def token(value: str, principal_id: str, expires_at_ms: int | None = None) -> AccessToken:
    return AccessToken(f"id of {value}", token_hash(b"key", value), principal_id, "1", 0, "", expires_at_ms)


class House:
    """An authenticator, and everything it depends on."""

    def __init__(self) -> None:
        self.now_ms_ = NOW_MS
        self.looked_up: list[str] = []
        self.change(users=(CLEO, GONE))
        self.verified: dict[str, VerifiedToken] = {}
        self.authenticator = Authenticator(b"key", lambda: self.directory, self, self.verify)

    def change(self, **changes: Any) -> None:
        tokens = (
            token("secret", "11"),
            token("robot's", "12"),
            token("gone's", "13"),
            token("brief", "11", NOW_MS + 10),
        )
        everybody = Population(1, service_principals=(ROBOT,), groups=(ADMINS, TEAM, USERS), tokens=tokens)
        self.directory = Directory(dataclasses.replace(everybody, **changes))

    def verify(self, value: str) -> VerifiedToken | None:
        self.looked_up.append(value)
        return self.verified.get(value)

    def now_ms(self) -> int:
        return self.now_ms_

    def monotonic_s(self) -> float:
        return self.now_ms_ / 1000.0

    def refuses(self, header: str | None) -> str:
        with pytest.raises(errors.Unauthenticated, match="Authorization: Bearer") as refused:
            self.authenticator.authenticate(header)
        return refused.value.message


@pytest.fixture
def house() -> House:
    return House()


@pytest.mark.parametrize(
    "header", ["Bearer secret", "bearer secret", "Basic " + base64.b64encode(b"token:secret").decode()]
)
def test_a_good_token_is_known_again_and_again(house: House, header: str) -> None:
    first = house.authenticator.authenticate(header)
    assert (first.id, first.user_name, first.kind, first.credential) == ("11", "cleo@example.com", "user", "token")
    assert house.authenticator.authenticate(header) is first


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Basic !!",
        "Basic " + base64.b64encode(b"admin:secret").decode(),
        "Digest x",
        "secret",
    ],
)
def test_anything_else_is_refused_with_advice(house: House, header: str | None) -> None:
    house.refuses(header)


def test_a_refused_token_is_not_in_the_message(house: House) -> None:
    assert "nearly-right" not in house.refuses("Bearer nearly-right")


def test_a_caller_has_what_its_groups_have_also_through_other_groups(house: House) -> None:
    cleo = house.authenticator.authenticate("Bearer secret")
    assert cleo.admin and cleo.groups == {"2", "3", "21"} and cleo.keys == {"2", "3", "21", "11"}
    assert cleo.entitlements == {"databricks-sql-access", "workspace-access"}
    robot = house.authenticator.authenticate("Bearer robot's")
    assert not robot.admin and robot.groups == {"3"} and robot.kind == "service_principal"
    assert (robot.user_name, robot.display_name) == (ROBOT.application_id, "robot")


def test_a_swapped_directory_is_in_force_with_the_next_request(house: House) -> None:
    assert house.authenticator.authenticate("Bearer secret").admin
    house.change(users=(CLEO,), groups=(USERS,))
    assert not house.authenticator.authenticate("Bearer secret").admin
    house.change(users=(dataclasses.replace(CLEO, active=False),))
    house.refuses("Bearer secret")
    house.change(users=(CLEO,), tokens=())
    house.refuses("Bearer secret")


def test_tokens_of_those_who_are_deactivated_or_deleted_are_refused_as_if_they_were_unknown(house: House) -> None:
    unknown = house.refuses("Bearer wrong")
    assert house.refuses("Bearer gone's") == unknown
    house.change(users=())
    assert house.refuses("Bearer secret") == unknown


def test_an_expired_token_is_refused_though_it_was_good_a_moment_ago(house: House) -> None:
    assert house.authenticator.authenticate("Bearer brief").id == "11"
    house.now_ms_ = NOW_MS + 10
    house.refuses("Bearer brief")
    house.refuses("Bearer brief")


def test_a_token_that_proves_itself_is_good_until_it_expires_and_its_subject_must_be_there(house: House) -> None:
    house.verified["a.b.c"] = VerifiedToken("12", NOW_MS / 1000 + 5.0, endpoint_id="e1")
    robot = house.authenticator.authenticate("Bearer a.b.c")
    assert (robot.id, robot.credential, robot.endpoint_id) == ("12", "oauth", "e1")
    assert house.authenticator.authenticate("Bearer a.b.c") is robot and house.looked_up == ["a.b.c"]
    house.now_ms_ += 5000
    house.refuses("Bearer a.b.c")
    house.now_ms_ -= 5000
    house.change(users=(), service_principals=())
    house.refuses("Bearer a.b.c")


def test_the_token_of_somebody_who_is_known_is_not_tried_as_another_kind(house: House) -> None:
    house.refuses("Bearer gone's")
    house.authenticator.authenticate("Bearer secret")
    assert house.looked_up == []


def test_what_was_verified_is_verified_again_once_everything_was_forgotten(house: House) -> None:
    house.verified["a.b.c"] = VerifiedToken("12", NOW_MS / 1000 + 5.0)
    house.authenticator.authenticate("Bearer a.b.c")
    house.authenticator.forget()
    house.authenticator.authenticate("Bearer a.b.c")
    assert house.looked_up == ["a.b.c", "a.b.c"]


def test_last_uses_are_told_once_and_survive_a_swap(house: House) -> None:
    house.authenticator.authenticate("Bearer secret")
    assert house.authenticator.last_uses() == {"id of secret": NOW_MS}
    assert house.authenticator.last_uses() == {}
    house.now_ms_ += 7
    house.authenticator.authenticate("Bearer secret")
    house.authenticator.authenticate("Bearer robot's")
    house.change(users=(CLEO,))
    house.authenticator.authenticate("Bearer robot's")
    assert house.authenticator.last_uses() == {"id of secret": NOW_MS + 7, "id of robot's": NOW_MS + 7}


def test_more_headers_than_are_remembered_are_let_in_all_the_same(house: House) -> None:
    tokens = tuple(token(f"t{number}", "11") for number in range(5000))
    house.change(users=(CLEO,), tokens=tokens)
    for number in (*range(5000), *range(5000)):
        assert house.authenticator.authenticate(f"Bearer t{number}").id == "11"


# -- at start -------------------------------------------------------------------------------------------------------


class Start:
    """Starts of one installation."""

    def __init__(self, folder: Path, database: Database | None = None) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.database = database or Database(f"sqlite:///{folder}/x.db")
        schema.upgrade(self.database)

    def __call__(self, user: str = "admin", given: str = "") -> bootstrap.AdminToken:
        settings = Settings(data_dir=self.folder, admin_user=user, admin_token=given)
        return bootstrap.ensure_administrator(self.database, settings, SEALER, SystemClock())

    def authenticator(self) -> Authenticator:
        directory = Directory(Identities(self.database).read())
        return Authenticator(bootstrap.token_hash_key(self.database, SEALER), lambda: directory, SystemClock())


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    made = Start(tmp_path)
    yield made
    made.database.close()


def test_the_first_token_is_made_once_and_kept_private(start: Start) -> None:
    first, again = start("root"), start("root")
    assert first.made_now and not again.made_now and first.value == again.value
    assert stat.S_IMODE((start.folder / "admin-token").stat().st_mode) == 0o600
    caller = start.authenticator().authenticate(f"Bearer {first.value}")
    assert (caller.id, caller.user_name, caller.admin, caller.groups) == ("1", "root", True, {"2", "3"})
    assert caller.entitlements >= {"workspace-access"}
    assert first.value not in (start.folder / "x.db").read_bytes().decode("latin1")


def test_a_start_that_changes_nothing_writes_nothing(start: Start) -> None:
    start()
    before = Identities(start.database).revision()
    start()
    assert Identities(start.database).revision() == before


def test_a_given_token_replaces_the_old_one(start: Start) -> None:
    old = start()
    start(given="mine")
    known = start.authenticator()
    assert known.authenticate("Bearer mine").admin
    with pytest.raises(errors.Unauthenticated):
        known.authenticate(f"Bearer {old.value}")


def test_each_house_of_a_database_has_an_administrators_token_of_its_own(start: Start) -> None:
    first = start()
    other = Start(start.folder / "other", start.database)
    second, again = other(), start()
    assert first.value == again.value != second.value
    known = start.authenticator()
    assert known.authenticate(f"Bearer {first.value}").admin and known.authenticate(f"Bearer {second.value}").admin
    start(given="of both")
    other(given="of both")
    start(given="of both")
    assert start.authenticator().authenticate("Bearer of both").admin


def test_the_administrator_can_be_given_another_name_unless_somebody_has_it(start: Start) -> None:
    start("root")
    Identities(start.database).add(User("50", "Eve"))
    token = start("ada").value
    assert start.authenticator().authenticate(f"Bearer {token}").user_name == "ada"
    start("eve")
    assert start.authenticator().authenticate(f"Bearer {token}").user_name == "ada"


def test_an_installation_from_before_there_were_users_keeps_its_token(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/x.db")
    with database.write() as connection:
        command.upgrade(schema.config(connection), "0002")
    leases.set_fact(database, "token_hash_key", "ab" * 32)
    leases.set_fact(database, "admin_token_hash", token_hash(b"\xab" * 32, "kept"))
    (tmp_path / "admin-token").write_text("kept\n")
    start = Start(tmp_path)
    assert not start().made_now
    assert start.authenticator().authenticate("Bearer kept").admin
    assert bootstrap.token_hash_key(database, SEALER) == b"\xab" * 32
    assert leases.fact(database, "admin_token_hash") is None
    database.close()
    start.database.close()


def test_the_workspace_has_one_number_of_digits(start: Start) -> None:
    number = bootstrap.workspace_id(start.database)
    assert number.isdigit() and len(number) == 16 and bootstrap.workspace_id(start.database) == number
