"""Grants, on every database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from headgate.access.principals import Principal
from headgate.access.rights import Rights
from headgate.domain.endpoint import Endpoint
from headgate.domain.grants import CAN_MANAGE, CAN_QUERY, CAN_VIEW, ENDPOINT, SECRET_SCOPE, Securable
from headgate.store import grants as store
from headgate.store.database import Database
from headgate.store.endpoints import Endpoints
from headgate.store.grants import Grants
from headgate.store.routing import RoutingReader

CHURN = Securable(ENDPOINT, "c" * 32)


@pytest.fixture
def grants(database: Database) -> Grants:
    for name in ("churn", "fraud"):
        Endpoints(database).create(Endpoint(name[0] * 32, name, "ada", 1, 1, None))
    return Grants(database)


def caller(*keys: str, admin: bool = False) -> Principal:
    return Principal(keys[0] if keys else "9", "someone", admin, keys=frozenset(keys))


def test_replacing_keeps_nothing_of_what_was(grants: Grants) -> None:
    grants.replace(CHURN, {"10": [CAN_VIEW, CAN_QUERY], "11": [CAN_MANAGE]})
    grants.replace(CHURN, {"11": [CAN_VIEW]})
    assert grants.of(CHURN) == {"11": {CAN_VIEW}}


def test_changing_takes_away_and_adds(grants: Grants) -> None:
    grants.replace(CHURN, {"10": [CAN_VIEW], "11": [CAN_MANAGE]})
    held = grants.change(CHURN, add={"10": [CAN_QUERY], "12": [CAN_VIEW]}, remove={"11": [CAN_MANAGE]})
    assert held == grants.of(CHURN) == {"10": {CAN_VIEW, CAN_QUERY}, "12": {CAN_VIEW}}


def test_grants_on_endpoints_are_told_to_the_servers_and_others_are_not(grants: Grants, database: Database) -> None:
    before = database.revision("routing")
    grants.replace(Securable(SECRET_SCOPE, "prod"), {"10": ["READ"]})
    assert database.revision("routing") == before
    grants.change(CHURN, add={"10": [CAN_VIEW]}, remove={})
    assert database.revision("routing") == before + 1


def test_a_callers_level_is_the_most_of_its_own_and_its_groups(grants: Grants) -> None:
    grants.replace(CHURN, {"10": [CAN_VIEW], "500": [CAN_QUERY], "11": [CAN_MANAGE]})
    rights = Rights(grants)
    for keys, level in ((("10", "500"), CAN_QUERY), (("10",), CAN_VIEW), (("12",), None), ((), None)):
        assert rights.endpoint_level(caller(*keys), CHURN.id) == level
        assert rights.endpoint_level_by_name(caller(*keys), "churn") == level
    assert rights.endpoint_level_by_name(caller("10"), "nobody-has-this-name") is None
    assert rights.endpoint_level(caller("1", admin=True), CHURN.id) == CAN_MANAGE


def test_lists_are_of_what_the_caller_sees(grants: Grants) -> None:
    grants.replace(CHURN, {"10": [CAN_QUERY]})
    both, rights = ["c" * 32, "f" * 32], Rights(grants)
    assert rights.endpoint_levels(caller("10"), both) == {"c" * 32: CAN_QUERY}
    assert rights.endpoint_levels(caller("11"), both) == {}
    assert rights.endpoint_levels(caller("1", admin=True), both) == dict.fromkeys(both, CAN_MANAGE)


def test_a_deleted_endpoint_is_nobodys(grants: Grants, database: Database) -> None:
    grants.replace(CHURN, {"10": [CAN_MANAGE]})
    Endpoints(database).delete("churn", 2)
    assert Rights(grants).endpoint_level(caller("10"), CHURN.id) is None


def test_a_deleted_principal_has_nothing(grants: Grants, database: Database) -> None:
    grants.replace(CHURN, {"10": [CAN_MANAGE], "11": [CAN_VIEW]})
    grants.replace(Securable(SECRET_SCOPE, "prod"), {"10": ["READ"]})
    with database.write("routing") as connection:
        store.forget_grantee_within(connection, "10")
    assert grants.of(CHURN) == {"11": {CAN_VIEW}}
    assert grants.of(Securable(SECRET_SCOPE, "prod")) == {}


def test_the_routing_table_has_who_may_query_and_see(grants: Grants, database: Database) -> None:
    reader = RoutingReader(database)
    grants.replace(CHURN, {"10": [CAN_QUERY], "11": [CAN_VIEW], "12": [CAN_MANAGE]})
    churn = reader.read().endpoints["churn"]
    assert (churn.queriers, churn.viewers) == ({"10", "12"}, {"10", "11", "12"})
    grants.change(CHURN, add={}, remove={"10": [CAN_QUERY]})
    assert reader.read().endpoints["churn"].queriers == {"12"}
    with database.write("identity", "routing") as connection:
        store.forget_grantee_within(connection, "12")
    assert reader.read().endpoints["churn"].viewers == {"11"}


def test_grants_that_have_not_changed_are_not_read_again(grants: Grants, database: Database) -> None:
    reader = RoutingReader(database)
    grants.replace(CHURN, {"10": [CAN_QUERY]})
    seen: list[str] = []

    def saw(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    sa.event.listen(database.engine, "before_cursor_execute", saw)
    for expected in (1, 0, 0):
        seen.clear()
        with database.write("routing"):
            pass
        assert reader.read().endpoints["churn"].queriers == {"10"}
        assert sum("FROM grants" in statement for statement in seen) == expected


def test_two_changes_at_a_time_take_turns(grants: Grants) -> None:
    """Each gives one more principal a level; none is lost."""
    place = Securable("catalog", "other")
    for securable in (CHURN, place):
        with ThreadPoolExecutor(8) as pool:
            both = [pool.submit(grants.change, securable, {str(number): [CAN_VIEW]}, {}) for number in range(100, 124)]
            for one in both:
                one.result()
        assert len(grants.of(securable)) == 24
