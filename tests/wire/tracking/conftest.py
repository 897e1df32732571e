"""One house with tracking for all tests here: starting MLflow's server costs seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.scenario.house import House


@pytest.fixture(scope="session")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    settings = {"HEADGATE_WORKERS": "2", "HEADGATE_ENVIRONMENTS_MODE": "local"}
    with House(tmp_path_factory.mktemp("tracked") / "data", **settings) as house:
        yield house
