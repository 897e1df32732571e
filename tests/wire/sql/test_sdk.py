"""databricks-sdk, the oldest and the newest that is supported, runs SQL."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.wire.clients import client_python, run_client
from tests.wire.sql.conftest import SqlHouse

WALK = (Path(__file__).parent / "sdk_walk.py").read_text()

pytestmark = pytest.mark.timeout(1200)


@pytest.mark.parametrize("requirement", ["databricks-sdk==0.59.0", "databricks-sdk"])
def test_the_sdk_runs_statements_and_finds_a_warehouse(house: SqlHouse, requirement: str) -> None:
    tokens = {"ann": house.ann.token, "bob": house.bob.token}
    environ = {"HEADGATE_URL": house.first.url, "TOKENS": json.dumps(tokens)}
    assert run_client(client_python(requirement), WALK, environ).json() == "walked"
