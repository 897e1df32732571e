"""Users, service principals, groups and tokens, on both databases."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable

import pytest

from headgate import errors
from headgate.domain.grants import CAN_QUERY, ENDPOINT, Securable
from headgate.domain.identity import ADMINS_ID, USERS_ID, AccessToken, Group, ServicePrincipal, User
from headgate.store.database import Database
from headgate.store.grants import Grants
from headgate.store.identities import Identities

CLEO = User("11", "Cleo@example.com", "Cleo", "Cleo", "K.", "ext-1", True, ("workspace-access",), ("r",))
ROBOT = ServicePrincipal("12", "5f0c7a54-1b7c-4a39-a4fb-2b8d4c3f1e55", "robot")
ROOM = Securable(ENDPOINT, "e" * 32)


@pytest.fixture
def identities(database: Database) -> Identities:
    made = Identities(database)
    made.ensure_built_in("admin")
    return made


def group(identities: Identities, group_id: str) -> Group:
    return next(one for one in identities.read().groups if one.id == group_id)


def members(*ids: str) -> Callable[[Group, frozenset[str]], tuple[Group, frozenset[str]]]:
    return lambda one, into: (dataclasses.replace(one, members=frozenset(ids)), into)


def token(number: int, owner: str = "11", **more: object) -> AccessToken:
    return AccessToken(f"{number:064x}", f"digest {number}", owner, "1", 1000 + number, **more)  # type: ignore[arg-type]


def test_what_is_built_in_is_there_once_and_whole(identities: Identities) -> None:
    identities.ensure_built_in("admin")
    everybody = identities.read()
    assert [(one.id, one.user_name) for one in everybody.users] == [("1", "admin")]
    assert [(one.id, one.display_name, one.members) for one in everybody.groups] == [
        (ADMINS_ID, "admins", {"1"}),
        (USERS_ID, "users", frozenset()),
    ]


def test_everybody_comes_back_as_they_were_added(identities: Identities) -> None:
    team = Group("20", "team", frozenset({"11", "12"}), "ext-2", ("databricks-sql-access",), ("r2",))
    for one in (CLEO, ROBOT, team):
        identities.add(one)
    everybody = identities.read()
    assert CLEO in everybody.users and ROBOT in everybody.service_principals and team in everybody.groups
    assert everybody.revision == identities.revision()


def test_a_name_is_taken_whatever_its_case_and_kind(identities: Identities) -> None:
    identities.add(CLEO)
    with pytest.raises(errors.ResourceAlreadyExists, match=r"User with username cleo@EXAMPLE\.com already exists"):
        identities.add(User("13", "cleo@EXAMPLE.com"))
    with pytest.raises(errors.ResourceAlreadyExists, match=r"User with username Cleo@example\.com already exists"):
        identities.add(Group("20", "Cleo@example.com"))
    with pytest.raises(errors.ResourceAlreadyExists, match="Group with name admins already exists"):
        identities.add(User("14", "admins"))
    with pytest.raises(errors.ResourceAlreadyExists, match="Group with name ADMINS already exists"):
        identities.add(Group("21", "ADMINS"))
    assert all(one.id != "21" for one in identities.read().groups)


def test_somebody_new_joins_groups_at_once_or_is_not_there_at_all(identities: Identities) -> None:
    identities.add(CLEO, [ADMINS_ID])
    assert group(identities, ADMINS_ID).members == {"1", "11"}
    with pytest.raises(errors.ResourceDoesNotExist):
        identities.add(User("13", "max"), ["99"])
    assert [one.id for one in identities.read().users] == ["1", "11"]


def test_a_change_sees_the_newest_and_its_groups(identities: Identities) -> None:
    identities.add(Group("20", "team"))
    identities.add(Group("21", "crew"))
    identities.add(CLEO, ["20"])
    seen = []

    def changed(one: User, into: frozenset[str]) -> tuple[User, frozenset[str]]:
        seen.append((one, into))
        return dataclasses.replace(one, active=False), frozenset({"21"})

    after = identities.change(User, "11", changed)
    assert seen == [(CLEO, {"20"})] and after == dataclasses.replace(CLEO, active=False)
    assert after in identities.read().users
    assert group(identities, "20").members == frozenset() and group(identities, "21").members == {"11"}


def test_a_change_that_raises_changes_nothing(identities: Identities) -> None:
    identities.add(CLEO)
    before = identities.read()
    with pytest.raises(errors.InvalidParameterValue):
        identities.change(User, "1", lambda one, into: (dataclasses.replace(one, active=False), into))
    with pytest.raises(errors.ResourceDoesNotExist):
        identities.change(User, "11", lambda one, into: (dataclasses.replace(one, display_name="x"), into | {"99"}))
    with pytest.raises(errors.ResourceDoesNotExist, match="There is no group with id 11"):
        identities.change(Group, "11", members())
    assert identities.read() == before


def test_circles_are_refused_also_when_two_writers_close_one_together(
    database: Database, identities: Identities
) -> None:
    for group_id in ("20", "21"):
        identities.add(Group(group_id, group_id))
    outcomes: list[str] = []

    def put(inner: str, outer: str) -> None:
        try:
            Identities(database).change(Group, outer, members(inner))
            outcomes.append("done")
        except errors.InvalidParameterValue:
            outcomes.append("refused")

    writers = [threading.Thread(target=put, args=pair) for pair in (("20", "21"), ("21", "20"))]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert sorted(outcomes) == ["done", "refused"]


def test_whoever_is_removed_leaves_no_token_membership_or_grant(database: Database, identities: Identities) -> None:
    identities.add(CLEO, [ADMINS_ID])
    identities.add(Group("20", "team", frozenset({"11"})))
    identities.add_token(token(1), 10)
    grants, before = Grants(database), database.revision("routing")
    grants.replace(ROOM, {"11": [CAN_QUERY], "20": [CAN_QUERY]})
    identities.remove(User, "11")
    identities.remove(Group, "20")
    everybody = identities.read()
    assert not everybody.tokens and [one.id for one in everybody.users] == ["1"]
    assert group(identities, ADMINS_ID).members == {"1"}
    assert grants.of(ROOM) == {} and database.revision("routing") > before + 1
    with pytest.raises(errors.ResourceDoesNotExist):
        identities.remove(User, "11")


def test_what_is_built_in_cannot_be_removed(identities: Identities) -> None:
    for kind, identity_id in ((User, "1"), (Group, ADMINS_ID), (Group, USERS_ID)):
        with pytest.raises(errors.InvalidParameterValue):
            identities.remove(kind, identity_id)  # type: ignore[type-var]


def test_tokens_come_back_oldest_first_without_anything_but_their_digest(identities: Identities) -> None:
    identities.add(CLEO)
    identities.add(ROBOT)
    first, second = token(2, comment="a", expires_at_ms=5000), token(3)
    other = token(1, "12")
    for one in (second, first, other):
        identities.add_token(one, 10)
    assert identities.tokens("11") == [first, second]
    assert identities.tokens() == [other, first, second] == list(identities.read().tokens)


def test_a_token_needs_an_owner_and_there_is_a_most_of_those_that_are_good(identities: Identities) -> None:
    with pytest.raises(errors.ResourceDoesNotExist):
        identities.add_token(token(1), 10)
    identities.add(CLEO)
    identities.add_token(token(1, expires_at_ms=1003), 2)
    identities.add_token(token(2), 2)
    with pytest.raises(errors.QuotaExceeded):
        Identities.add_token(identities, dataclasses.replace(token(9), created_at_ms=1002), 2)
    identities.add_token(token(3), 2)  # at 1003, when the first has expired
    assert [one.id for one in identities.tokens()] == [token(2).id, token(3).id]


def test_a_revoked_token_is_gone_once(identities: Identities) -> None:
    identities.add(CLEO)
    identities.add_token(token(1), 10)
    before = identities.revision()
    identities.revoke_token(token(1).id)
    assert identities.tokens() == [] and identities.revision() == before + 1
    with pytest.raises(errors.ResourceDoesNotExist):
        identities.revoke_token(token(1).id)


def test_last_use_only_grows_and_is_nobodys_news(identities: Identities) -> None:
    identities.add(CLEO)
    identities.add_token(token(1), 10)
    before = identities.revision()
    identities.note_use({token(1).id: 2000, "gone": 1})
    identities.note_use({token(1).id: 1500})
    identities.describe_token(token(1).id, "laptop")
    (seen,) = identities.tokens()
    assert (seen.last_used_at_ms, seen.comment) == (2000, "laptop") and identities.revision() == before


def test_the_token_set_at_start_replaces_the_one_before_and_writes_nothing_when_it_is_the_same(
    identities: Identities,
) -> None:
    first = dataclasses.replace(token(0), principal_id="1")
    identities.replace_token(first)
    before = identities.revision()
    identities.replace_token(dataclasses.replace(first, created_at_ms=9999))
    assert identities.revision() == before
    identities.replace_token(dataclasses.replace(first, digest="another"))
    assert [one.digest for one in identities.tokens()] == ["another"]
