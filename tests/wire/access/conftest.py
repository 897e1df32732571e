"""One house for all tests of access, with five callers, everything they have rights on, and every kind of bad credential."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.scenario.house import House
from tests.wire.access import callers
from tests.wire.access.world import World

SETTINGS = {
    "HEADGATE_WORKERS": "2",
    "HEADGATE_ENVIRONMENTS_MODE": "local",
    "HEADGATE_SCALING_IDLE_S": "600",
    "HEADGATE_LIMITS_REFUSALS_PER_MINUTE": "1000000",
}


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with House(tmp_path_factory.mktemp("access") / "data", **SETTINGS) as house:
        made = callers.furnished(house)
        yield made
        made.close()
