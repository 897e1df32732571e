"""SCIM PatchOp, as the SDK, Terraform and identity providers send it."""

from __future__ import annotations

from typing import Any

import pytest

from headgate import errors
from headgate.api.identity import patches
from headgate.api.identity.resources import LISTED

TEAM = {
    "displayName": "team",
    "members": [{"value": "11"}, {"value": "12"}],
    "active": True,
    "name": {"givenName": "T"},
}


def after(*operations: Any) -> Any:
    return patches.apply(TEAM, operations, LISTED)


def members(*operations: Any) -> list[str]:
    return [one["value"] for one in after(*operations)["members"]]


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "add", "path": "members", "value": [{"value": "13"}]},
        {"op": "Add", "path": "members", "value": [{"value": "13"}, {"value": "11"}]},
        {"op": "add", "path": "members", "value": {"value": "13"}},
        {"op": "add", "path": "members", "value": "13"},
        {"op": "add", "value": {"members": [{"value": "13"}]}},
        {"op": "add", "value": [{"members": [{"value": "13"}]}]},
        {"op": "add", "path": "urn:ietf:params:scim:schemas:core:2.0:Group:members", "value": ["13"]},
    ],
)
def test_members_are_added_however_it_is_said(operation: Any) -> None:
    assert members(operation) == ["11", "12", "13"]


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": 'members[value eq "11"]'},
        {"op": "Remove", "path": 'Members[value eq "11"]'},
        {"op": "remove", "path": "members", "value": [{"value": "11"}]},
        {"op": "replace", "path": "members", "value": [{"value": "12"}]},
        {"op": "replace", "value": {"members": [{"value": "12"}]}},
    ],
)
def test_members_are_removed_however_it_is_said(operation: Any) -> None:
    assert members(operation) == ["12"]


def test_a_list_is_emptied_by_removing_it_and_one_that_is_not_there_begins_empty() -> None:
    assert members({"op": "remove", "path": "members"}) == []
    assert after({"op": "add", "path": "roles", "value": [{"value": "r"}]})["roles"] == [{"value": "r"}]
    assert after({"op": "remove", "path": 'roles[value eq "r"]'})["roles"] == []


def test_what_a_filter_finds_is_replaced_and_the_rest_stays() -> None:
    assert members({"op": "replace", "path": 'members[value eq "11"]', "value": [{"value": "13"}]}) == ["12", "13"]


def test_simple_attributes_and_parts_of_them_are_set_and_removed() -> None:
    assert after({"op": "replace", "path": "active", "value": "false"})["active"] == "false"
    assert after({"op": "replace", "path": "displayname", "value": "crew"})["displayName"] == "crew"
    assert "displayName" not in after({"op": "remove", "path": "displayName"})
    assert after({"op": "replace", "path": "name.familyName", "value": "X"})["name"] == {
        "givenName": "T",
        "familyName": "X",
    }
    assert after({"op": "add", "path": "name", "value": {"familyName": "X"}})["name"] == {
        "givenName": "T",
        "familyName": "X",
    }
    assert after({"op": "remove", "path": "name.givenName"})["name"] == {}
    assert after({"op": "replace", "value": {"active": False, "displayName": "x"}})["active"] is False


def test_operations_are_applied_in_their_order_to_a_copy() -> None:
    assert members({"op": "remove", "path": "members"}, {"op": "add", "path": "members", "value": ["9"]}) == ["9"]
    assert members() == ["11", "12"]


@pytest.mark.parametrize(
    ("operation", "why"),
    [
        ("add", "must be an object"),
        ({"op": "move", "path": "members"}, "op must be add, remove or replace"),
        ({"op": "replace", "path": "active"}, 'send false as "false"'),
        ({"op": "add", "value": "x"}, "needs an object"),
        ({"op": "remove"}, "needs an object"),
        ({"op": "add", "path": "members[", "value": "x"}, "is no path"),
        ({"op": "remove", "path": "members[value is x]"}, "is no operator"),
    ],
)
def test_what_cannot_be_done_is_said(operation: Any, why: str) -> None:
    with pytest.raises(errors.InvalidParameterValue) as refused:
        after(operation)
    assert why in refused.value.message


def test_only_so_many_operations_come_at_once() -> None:
    with pytest.raises(errors.InvalidParameterValue, match="At most 1000"):
        after(*[{"op": "add", "path": "members", "value": ["9"]}] * 1001)
