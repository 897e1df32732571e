"""databricks-sdk, the oldest and the newest that is supported, walks all of `w.secrets` as three callers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.fakes import callers
from tests.fakes.api_house import TOKEN, ApiHouse
from tests.wire.clients import client_python, run_client

WALK = (Path(__file__).parent / "sdk_walk.py").read_text()


@pytest.mark.parametrize("requirement", ["databricks-sdk==0.59.0", "databricks-sdk"])
def test_the_sdk_walks_all_of_secrets(requirement: str, tmp_path: Path) -> None:
    house = ApiHouse(tmp_path)
    tokens = {
        "ada": TOKEN,
        "bob": callers.user(house.as_admin, "bob").token,
        "eve": callers.user(house.as_admin, "eve").token,
    }
    with house.serving() as url:
        environ = {"DATABRICKS_HOST": url, "TOKENS": json.dumps(tokens)}
        assert run_client(client_python(requirement), WALK, environ).json() == "walked"
    house.close()
