"""Every route, asked by every caller and with every bad credential, answers as the table says; no route is missing from it."""

from __future__ import annotations

import pytest
from tests.wire.access import judge
from tests.wire.access.table import whole
from tests.wire.access.table.rows import Row
from tests.wire.access.world import World
from tools.reference import access

pytestmark = [pytest.mark.wire, pytest.mark.scenario]


def test_the_table_has_every_route_of_the_server_and_no_other() -> None:
    there, told = access.served_routes(), {(row.method, row.path) for row in whole.rows()}
    assert there - told == set(), "the server has routes of which the table does not say who may use them"
    assert told - there == set(), "the table has routes that the server does not have"


@pytest.mark.parametrize("row", whole.rows(), ids=str)
def test_everybody_is_answered_as_the_table_says(world: World, row: Row) -> None:
    assert judge.differences(world, row) == []
