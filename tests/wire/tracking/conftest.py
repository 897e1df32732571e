"""One house with tracking for all tests here: starting MLflow's server costs seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.scenario.house import House


@pytest.fixture(scope="session")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("tracked") / "data", HEADGATE_WORKERS="2") as house:
        yield house
