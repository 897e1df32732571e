"""Who is in which group, and what identities may be."""

from __future__ import annotations

import dataclasses

import pytest

from headgate import errors
from headgate.domain import identity
from headgate.domain.identity import AccessToken, Group, ServicePrincipal, User


def group(identity_id: str, *members: str) -> Group:
    return Group(identity_id, f"group {identity_id}", frozenset(members))


def test_groups_hold_through_other_groups_however_they_are_nested() -> None:
    above = identity.groups_above(
        [group("20", "11"), group("21", "20"), group("22", "20", "12"), group("23", "21", "22")]
    )
    assert above == {
        "11": {"20", "21", "22", "23"},
        "12": {"22", "23"},
        "20": {"21", "22", "23"},
        "21": {"23"},
        "22": {"23"},
    }


def check(changed: Group, *others: Group) -> None:
    everybody = {one.id: one for one in (*others, changed)}
    identity.check_members(changed, everybody, {*everybody, "1", "11", "3"})


@pytest.mark.parametrize(
    ("changed", "others"),
    [
        (group("20", "20"), []),
        (group("20", "21"), [group("21", "20")]),
        (group("20", "21"), [group("21", "22"), group("22", "20", "11")]),
    ],
)
def test_a_group_within_itself_is_refused(changed: Group, others: list[Group]) -> None:
    with pytest.raises(errors.InvalidParameterValue, match="would be a member of itself"):
        check(changed, *others)


def test_what_is_above_others_twice_is_no_circle() -> None:
    check(group("20", "21", "22"), group("21", "23"), group("22", "23"), group("23", "11"))


def test_everybody_is_in_users_already_and_users_is_no_member() -> None:
    with pytest.raises(errors.InvalidParameterValue, match="Everybody is in the group users"):
        check(group("3", "11"))
    with pytest.raises(errors.InvalidParameterValue, match="it is everybody"):
        check(group("20", "3"))


def test_a_member_nobody_knows_is_refused_by_its_id() -> None:
    with pytest.raises(errors.InvalidParameterValue, match="with id 99"):
        check(group("20", "11", "99"))


def test_the_first_administrator_stays_in_admins_active_and_there() -> None:
    check(group("2", "1", "11"))
    with pytest.raises(errors.InvalidParameterValue, match="cannot be taken out"):
        check(group("2", "11"))
    with pytest.raises(errors.InvalidParameterValue, match="cannot be deactivated"):
        identity.check(User("1", "admin", active=False))
    with pytest.raises(errors.InvalidParameterValue, match="cannot be deleted"):
        identity.check_deletable("1")
    identity.check(User("11", "cleo", active=False))
    identity.check_deletable("11")


def test_built_in_groups_keep_their_names_and_stay() -> None:
    identity.check(Group("2", "admins"))
    with pytest.raises(errors.InvalidParameterValue, match="cannot be renamed"):
        identity.check(Group("2", "Admins"))
    for group_id in identity.BUILT_IN:
        with pytest.raises(errors.InvalidParameterValue, match="is built in"):
            identity.check_deletable(group_id)


@pytest.mark.parametrize("name", ["", " x", "x ", "a\nb", "a\x00b", "x" * 257, "\udc80"])
def test_names_that_cannot_be_shown_or_stored_are_refused(name: str) -> None:
    for one in (User("11", name), Group("20", name), ServicePrincipal("12", name)):
        with pytest.raises(errors.InvalidParameterValue):
            identity.check(one)


def test_values_that_cannot_be_shown_or_stored_are_refused() -> None:
    for changes in ({"display_name": "x" * 257}, {"external_id": "\x00"}, {"roles": ("a\nb",)}):
        with pytest.raises(errors.InvalidParameterValue):
            identity.check(dataclasses.replace(User("11", "cleo"), **changes))


def test_a_token_expires_at_its_time_and_one_without_a_time_never() -> None:
    brief = AccessToken("t", "d", "11", "11", 0, expires_at_ms=10)
    assert [brief.has_expired(now_ms) for now_ms in (9, 10, 11)] == [False, True, True]
    assert not dataclasses.replace(brief, expires_at_ms=None).has_expired(10**15)
