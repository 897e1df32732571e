"""Scale to zero: idle entities end, requests to them are held until a replica is up."""

from __future__ import annotations

import pytest
from tests.scenario.house import House, entity, until
from tests.scenario.load import SteadyLoad

pytestmark = pytest.mark.scenario
BODY = {"dataframe_split": {"columns": ["a", "b", "c"], "data": [[1.0, 0.0, 0.0]]}}


def asleep(house: House, name: str) -> bool:
    found = house.api("GET", f"/{name}")
    assert found["state"]["ready"] == "READY"
    state: str = found["config"]["served_entities"][0]["state"]["deployment_state_message"]
    return state == "Scaled to zero"


def test_an_idle_endpoint_sleeps_stays_ready_and_wakes_for_a_request(house: House) -> None:
    house.create("drowsy", entity("versioned", scale_to_zero_enabled=True))
    until(lambda: asleep(house, "drowsy"), "it sleeps")
    until(lambda: not house.replica_pids_of("drowsy"), "its processes ended")
    assert house.predict("drowsy", BODY).json == {"predictions": ["one"]}
    with SteadyLoad(house.port, "drowsy", BODY, connections=1, pause_s=0.02) as load:
        until(lambda: not asleep(house, "drowsy"), "it is told to be awake while it is asked")
    assert load.failures == [], load
    until(lambda: asleep(house, "drowsy"), "it sleeps again")
    house.delete("drowsy")


def test_many_requests_wake_one_sleeper_once(house: House) -> None:
    from concurrent.futures import ThreadPoolExecutor

    house.create("alarm", entity("behaving", scale_to_zero_enabled=True))
    until(lambda: asleep(house, "alarm"), "it sleeps")
    body = {"dataframe_records": [{"do": "nothing"}]}
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: house.predict("alarm", body).json, range(40)))
    assert answers == [{"predictions": ["done"]}] * 40
    house.delete("alarm")


def test_two_hundred_endpoints_sleep_on_one_server_and_each_wakes(house: House) -> None:
    names = [f"sleeper-{number:03d}" for number in range(200)]
    for name in names:
        house.api(
            "POST", "", {"name": name, "config": {"served_entities": [entity("versioned", scale_to_zero_enabled=True)]}}
        )
    for name in names:
        house.settled(name, timeout_s=400)
    until(lambda: not any(house.replica_pids_of(name) for name in names), "all sleep", 120)
    for name in names:
        assert house.predict(name, BODY).json == {"predictions": ["one"]}
    for name in names:
        house.delete(name)
    until(lambda: not any(house.replica_pids_of(name) for name in names), "nothing of them runs", 120)
