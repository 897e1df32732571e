"""Every level against everything it takes to do something with an endpoint."""

from __future__ import annotations

import dataclasses

import pytest

from headgate import errors
from headgate.access import rights
from headgate.access.principals import OAUTH, TOKEN, Principal
from headgate.domain.grants import CAN_MANAGE, CAN_QUERY, CAN_VIEW, LEVELS
from headgate.domain.routing import EndpointRoute

ADMIN = Principal("1", "ada", admin=True)
BEN = Principal("77", "ben", admin=False, keys=frozenset({"77", "500"}))
ROUTE = EndpointRoute("e" * 32, "churn", "READY", queriers=frozenset({"500"}), viewers=frozenset({"500", "88"}))
VIEWER = Principal("88", "vera", admin=False, keys=frozenset({"88"}))
STRANGER = Principal("99", "sam", admin=False, keys=frozenset({"99"}))


@pytest.mark.parametrize("wanted", LEVELS)
@pytest.mark.parametrize("level", LEVELS)
def test_a_level_includes_itself_and_those_below(level: str, wanted: str) -> None:
    if LEVELS.index(level) >= LEVELS.index(wanted):
        rights.require(level, wanted, "churn")
        return
    with pytest.raises(errors.PermissionDenied) as refused:
        rights.require(level, wanted, "churn")
    ability = {CAN_QUERY: "Query", CAN_MANAGE: "Manage"}[wanted]
    assert refused.value.message.startswith(f"User does not have permission '{ability}' on Endpoint churn.")
    assert wanted in refused.value.message


@pytest.mark.parametrize("wanted", LEVELS)
def test_nothing_at_all_hides_that_there_is_one(wanted: str) -> None:
    with pytest.raises(errors.ResourceDoesNotExist) as refused:
        rights.require(None, wanted, "churn")
    assert refused.value.body() == {
        "error_code": "RESOURCE_DOES_NOT_EXIST",
        "message": "Serving endpoint with name churn not found",
    }


@pytest.mark.parametrize(
    ("caller", "sees", "queries"),
    [(ADMIN, True, True), (BEN, True, True), (VIEWER, True, False), (STRANGER, False, False)],
)
def test_the_routing_table_says_who_sees_and_who_queries(caller: Principal, sees: bool, queries: bool) -> None:
    assert (rights.may_see(caller, ROUTE), rights.may_query(caller, ROUTE)) == (sees, queries)


@pytest.mark.parametrize("admin", [True, False])
@pytest.mark.parametrize(("endpoint_id", "good"), [(ROUTE.id, True), ("f" * 32, False)])
def test_a_token_for_one_endpoint_is_good_for_no_other(endpoint_id: str, good: bool, admin: bool) -> None:
    caller = Principal("77", "ben", admin=admin, keys=BEN.keys, endpoint_id=endpoint_id)
    assert rights.may_query(caller, ROUTE) == good


def test_a_token_for_one_endpoint_gives_no_more_than_its_holder_has_now() -> None:
    caller = Principal("88", "vera", admin=False, keys=VIEWER.keys, credential=OAUTH, endpoint_id=ROUTE.id)
    assert not rights.may_query(caller, ROUTE)


@pytest.mark.parametrize(("credential", "good"), [(TOKEN, False), (OAUTH, True)])
def test_a_route_optimized_endpoint_takes_oauth_only(credential: str, good: bool) -> None:
    optimized = dataclasses.replace(ROUTE, route_optimized=True)
    for caller in (ADMIN, BEN):
        assert rights.may_query(dataclasses.replace(caller, credential=credential), optimized) == good
    assert not rights.may_query(dataclasses.replace(STRANGER, credential=credential), optimized)


def test_can_view_is_the_least() -> None:
    assert LEVELS == (CAN_VIEW, CAN_QUERY, CAN_MANAGE)
