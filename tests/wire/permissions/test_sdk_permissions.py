"""databricks-sdk, oldest supported and current, reads and changes permissions of endpoints and grants of models, as a manager."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fakes import callers
from tests.unit.api.permissions.conftest import House
from tests.wire import clients

pytestmark = pytest.mark.wire
WALK = Path(__file__).with_name("sdk_walk.py")
OLD = "databricks-sdk==0.59.0"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("version", ["current", OLD])
def test_the_sdk_reads_and_changes_permissions(house: House, version: str) -> None:
    mara = house.person("manager")
    made = house.by("manager", "POST", "/api/2.0/serving-endpoints", {"name": "mine"})
    assert made.status == 200
    python = Path(sys.executable) if version == "current" else clients.client_python(version)
    with house.serving() as url:
        seen = walk(python, {"DATABRICKS_HOST": url, "DATABRICKS_TOKEN": mara.token}, house.bot)

    admins = {"admins": [["CAN_MANAGE", True, ["/serving-endpoints/"]]]}
    manager = {"manager": [["CAN_MANAGE", False, None]]}
    given = {"vera": [["CAN_VIEW", False, None]], "team": [["CAN_QUERY", False, None]]}
    assert (seen["object"], seen["level"]) == ([True, "serving-endpoint"], "CAN_MANAGE")
    assert seen["levels"] == ["CAN_VIEW", "CAN_QUERY", "CAN_MANAGE"]
    assert seen["before"] == {**manager, **admins}
    assert seen["replaced"] == {**manager, **given, **admins}
    assert seen["merged"] == {**seen["replaced"], house.bot.name: [["CAN_MANAGE", False, None]]}
    assert seen["nobody"][0] == "ResourceDoesNotExist" and "no user called nobody" in seen["nobody"][1]
    assert seen["hidden"][0] == "ResourceDoesNotExist"
    assert seen["granted"] == seen["grants"] == {"vera": ["EXECUTE"]}
    assert seen["effective"]["vera"] == ["EXECUTE"]
    assert seen.get("listed", {"vera": ["EXECUTE"]}) == {"vera": ["EXECUTE"]}
    assert seen["taken"] == {}
    assert seen["not applicable"][0] == "InvalidParameterValue"


def walk(python: Path, environ: dict[str, str], bot: callers.Caller) -> Any:
    return clients.run_client(python, WALK.read_text(), environ, [bot.name, "mine"]).json()
