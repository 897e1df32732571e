"""Endpoints that follow an alias, in a running house."""

from __future__ import annotations

import pytest
from tests.scenario.house import House, entity, until
from tests.scenario.load import SteadyLoad
from tests.scenario.test_clients import run

pytestmark = pytest.mark.scenario
BODY = {"dataframe_split": {"columns": ["a", "b", "c"], "data": [[1.0, 0.0, 0.0]]}}
ALIASES = "/api/2.1/unity-catalog/models/main.default.versioned/aliases"


def champion(house: House, version: int) -> None:
    moved = house.request("PUT", f"{ALIASES}/Champion", {"version_num": version})
    assert moved.status == 200, moved


def test_under_load_the_champion_moves_there_and_back_and_no_request_fails(house: House) -> None:
    champion(house, 1)
    house.create("followed", entity("versioned", "@Champion"))
    answers = {"one", "two"}
    seen: set[str] = set()

    def check(answer: dict[str, list[str]]) -> bool:
        seen.add(answer["predictions"][0])
        return answer["predictions"][0] in answers

    def arrives(version: str, word: str) -> None:
        def is_there() -> bool:
            found = house.api("GET", "/followed")
            served = found["config"]["served_entities"][0]["entity_version"]
            return bool(served == version and found["state"]["config_update"] == "NOT_UPDATING")

        until(is_there, f"version {version} serves", 120)
        assert house.predict("followed", BODY).json == {"predictions": [word]}

    with SteadyLoad(house.port, "followed", BODY, connections=4, check=check) as load:
        load.more(300)
        champion(house, 2)
        arrives("2", "two")
        load.more(300)
        champion(house, 1)
        [control] = house.pids("control")
        house.kill(control)
        arrives("1", "one")
        load.more(300)
    assert load.failures == [] and load.cut == 0 and load.refused == 0, load
    assert seen == answers
    refused = house.request("DELETE", "/api/2.1/unity-catalog/models/main.default.versioned/versions/1")
    assert (refused.status, refused.json["error_code"]) == (409, "RESOURCE_CONFLICT")
    assert "served by endpoint followed" in refused.json["message"]
    house.delete("followed")


@pytest.mark.wire
@pytest.mark.parametrize(
    "requirements", [("databricks-sdk==0.59.0",), ()], ids=["sdk 0.59.0", "sdk and mlflow, current"]
)
def test_an_alias_moved_by_an_official_client_is_followed(house: House, requirements: tuple[str, ...]) -> None:
    assert run(house, "following.py", *requirements)["done"] == [
        "create", "there", "delete refused", "failed", "back", "answers are accepted back", "alias deleted",
    ]  # fmt: skip
