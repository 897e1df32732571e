"""Updates under load: whatever happens to the config, no request fails."""

from __future__ import annotations

import pytest
from tests.scenario.house import House, entity, standstill, until
from tests.scenario.load import SteadyLoad

pytestmark = pytest.mark.scenario
BODY = {"dataframe_split": {"columns": ["a", "b", "c"], "data": [[1.0, 0.0, 0.0]]}}


def test_twenty_thousand_requests_through_every_kind_of_update(house: House) -> None:
    house.create("steady", entity("versioned", "1"))
    answers = {"one", "two"}
    with SteadyLoad(house.port, "steady", BODY, connections=4, check=lambda j: j["predictions"][0] in answers) as load:
        load.more(1000)
        house.update("steady", entity("versioned", "2"))
        until(lambda: load.entities["versioned-2"] > 500, "the new version serves")
        failed = house.update("steady", entity("versioned", "4"))
        assert failed["state"] == {**failed["state"], "ready": "READY", "config_update": "UPDATE_FAILED"}
        assert "another planet" in str(failed["pending_config"])
        load.more(500)
        house.update("steady", entity("versioned", "1"))
        load.more(500)
        both = (entity("versioned", "1"), entity("versioned", "2"))
        house.update("steady", *both, routes={"versioned-1": 50, "versioned-2": 50})
        load.more(500)
        house.update("steady", *both, routes={"versioned-1": 10, "versioned-2": 90})
        load.more(500)
        house.update("steady", entity("versioned", "2"))
        load.reach(20_000)
    assert load.failures == [] and load.cut == 0 and load.refused == 0, load
    until(lambda: len(house.api("GET", "/steady")["config"]["served_entities"]) == 1, "only the last one is left")
    house.delete("steady")


def test_who_waited_for_an_update_is_answered_by_the_new_version_by_every_server(house: House) -> None:
    """Fresh connections reach either server process; one that lagged behind would answer with the old version."""
    house.create("prompt", entity("versioned", "1"))
    for version, word in [("2", "two"), ("1", "one")] * 5:
        updated = house.update("prompt", entity("versioned", version))
        answers = [house.predict("prompt", BODY).json["predictions"] for _ in range(20)]
        assert answers == [[word]] * 20, updated["config"]
    house.delete("prompt")
    house.create("prompt", entity("versioned", "3"))
    assert [house.predict("prompt", BODY).json["predictions"] for _ in range(20)] == [["three"]] * 20
    house.delete("prompt")


def test_traffic_is_split_as_asked(house: House) -> None:
    both = (entity("versioned", "1"), entity("versioned", "2"), entity("versioned", "3"))
    house.create("split", *both, routes={"versioned-1": 75, "versioned-2": 25, "versioned-3": 0})
    with SteadyLoad(house.port, "split", BODY, connections=2) as load:
        load.reach(2000)
    assert load.failures == [] and load.cut == 0
    share = load.entities["versioned-1"] / load.answered
    # Binomial with n=2000: a deviation of 0.05 is five standard deviations.
    assert 0.70 < share < 0.80 and load.entities["versioned-3"] == 0, load
    named = house.request("POST", "/serving-endpoints/split/served-models/versioned-3/invocations", BODY)
    assert named.json == {"predictions": ["three"]} and named.headers["served-model-name"] == "versioned-3"
    house.delete("split")


def test_a_pure_traffic_change_starts_no_process(house: House) -> None:
    both = (entity("versioned", "1"), entity("versioned", "2"))
    house.create("shift", *both, routes={"versioned-1": 100, "versioned-2": 0})
    before = set(house.replica_pids())
    house.update("shift", *both, routes={"versioned-1": 0, "versioned-2": 100})
    assert house.predict("shift", BODY).json == {"predictions": ["two"]}
    assert set(house.replica_pids()) <= before
    house.delete("shift")


def test_an_update_during_an_update_is_refused_and_a_delete_during_a_create_cleans_up(house: House) -> None:
    with standstill(*house.pids("control")):
        house.api("POST", "", {"name": "busy", "config": {"served_entities": [entity("versioned")]}})
        refused = house.request(
            "PUT", "/api/2.0/serving-endpoints/busy/config", {"served_entities": [entity("versioned", "2")]}
        )
    assert (refused.status, refused.json["error_code"]) == (409, "RESOURCE_CONFLICT")
    house.delete("busy")
    assert house.request("GET", "/api/2.0/serving-endpoints/busy").status == 404
    house.create("busy", entity("versioned", "3"))
    assert house.predict("busy", BODY).json == {"predictions": ["three"]}
    house.delete("busy")
    until(lambda: not house.replica_pids_of("busy"), "nothing of the endpoint runs")


def test_an_alias_is_resolved_when_it_is_deployed(house: House) -> None:
    set_alias = {"name": "main.default.versioned", "alias": "Champion", "version": "2"}
    answer = house.request("POST", "/api/2.0/mlflow/unity-catalog/registered-models/alias", set_alias)
    assert answer.status == 200, answer
    found = house.create("aliased", entity("versioned", "@Champion"))
    assert found["config"]["served_entities"][0]["entity_version"] == "2"
    assert house.predict("aliased", BODY).json == {"predictions": ["two"]}
    house.delete("aliased")


def test_stop_and_start(house: House) -> None:
    house.create("paused", entity("versioned"))
    house.api("POST", "/paused/config:stop")
    for _ in range(20):  # a connection each: whichever server process is met
        refused = house.request("POST", "/serving-endpoints/paused/invocations", BODY)
        assert refused.status == 400 and "stopped" in refused.json["message"]
    until(lambda: not house.replica_pids_of("paused"), "its replicas ended")
    house.api("POST", "/paused/config:start")
    found = house.settled("paused")
    assert found["config"]["config_version"] == 2
    assert house.predict("paused", BODY).json == {"predictions": ["one"]}
    house.delete("paused")
    assert {house.request("POST", "/serving-endpoints/paused/invocations", BODY).status for _ in range(20)} == {404}
