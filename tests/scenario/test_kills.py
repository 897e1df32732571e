"""kill -9 of anything: service comes back, state is intact, and only the killed process's own requests fail."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.scenario.house import House, entity, standstill, until
from tests.scenario.load import SteadyLoad

pytestmark = pytest.mark.scenario
BODY = {"dataframe_split": {"columns": ["a", "b", "c"], "data": [[1.0, 0.0, 0.0]]}}
CONNECTIONS = 4


@pytest.fixture
def endpoint(house: House) -> Iterator[str]:
    house.create("hardy", entity("versioned"))
    yield "hardy"
    house.delete("hardy")


def load_on(house: House, endpoint: str) -> SteadyLoad:
    return SteadyLoad(
        house.port, endpoint, BODY, connections=CONNECTIONS, check=lambda j: j == {"predictions": ["one"]}
    )


def test_a_killed_worker_is_replaced_and_its_requests_are_sent_again(house: House, endpoint: str) -> None:
    with load_on(house, endpoint) as load:
        load.more(200)
        # One only: a request whose second replica is killed as well is answered 500, by design.
        before = house.replica_pids_of(endpoint)
        house.kill(before[0])
        load.more(500)
        until(lambda: len(house.replica_pids_of(endpoint)) >= len(before), "a new replica lives")
    assert load.failures == [] and load.cut == 0, load


@pytest.mark.parametrize("role", ["zygote", "agent", "control"])
def test_killing_what_carries_no_request_fails_no_request(house: House, endpoint: str, role: str) -> None:
    replicas = house.replica_pids_of(endpoint)
    with load_on(house, endpoint) as load:
        load.more(200)
        killed = house.pids(role)
        assert killed
        for pid in killed:
            house.kill(pid)
        if role != "zygote":  # a zygote is made again when it is needed
            until(lambda: set(house.pids(role)) - set(killed), f"a new {role} lives")
        load.more(500)
    assert load.failures == [] and load.cut == 0, load
    assert set(replicas) <= set(house.replica_pids_of(endpoint)), "its replicas were adopted, not replaced"
    house.update(endpoint, entity("versioned", "2"))
    assert house.predict(endpoint, BODY).json == {"predictions": ["two"]}


def test_a_killed_server_loses_only_what_it_had_in_hand(house: House, endpoint: str) -> None:
    with load_on(house, endpoint) as load:
        load.more(200)
        victim = house.pids("server")[0]
        house.kill(victim)
        load.more(500)
        until(lambda: len(house.pids("server")) == 2, "there are two servers again")
        load.more(500)
    assert load.failures == [] and load.refused == 0, load
    assert load.cut <= CONNECTIONS, load


def test_a_crash_loop_shows_in_the_entity_s_state_with_its_last_words(house: House, tmp_path: Path) -> None:
    variables = {"MARKER": str(tmp_path / "marker")}
    house.create("loop", entity("once", environment_vars=variables))
    house.predict("loop", BODY)
    for pid in house.replica_pids_of("loop"):
        house.kill(pid)

    def last_words() -> bool:
        found = house.api("GET", "/loop")
        assert found["state"] == {**found["state"], "ready": "READY", "config_update": "NOT_UPDATING"}
        state = found["config"]["served_entities"][0]["state"]
        return state["deployment"] == "DEPLOYMENT_RECOVERING" and "too much for me" in state["deployment_state_message"]

    until(last_words, "the state tells of the crashes")
    (tmp_path / "marker").unlink()
    assert house.predict("loop", BODY).json == {"predictions": [1]}
    house.delete("loop")


def test_inference_goes_on_while_control_is_away_for_thirty_seconds(house: House, endpoint: str) -> None:
    (control,) = house.pids("control")
    with load_on(house, endpoint) as load:
        with standstill(control):
            ends = time.monotonic() + 30
            until(lambda: time.monotonic() > ends, "thirty seconds passed")
            load.everybody()
        load.more(100)
    assert load.failures == [] and load.cut == 0 and load.refused == 0, load
    house.update(endpoint, entity("versioned", "2"))


def test_after_everything_was_killed_a_second_start_restores_every_endpoint(house: House, endpoint: str) -> None:
    house.create("sleepy", entity("versioned", "2", scale_to_zero_enabled=True))
    before = {name: house.api("GET", f"/{name}") for name in (endpoint, "sleepy")}
    left_over = house.replica_pids()
    house.kill_everything()
    until(lambda: not (set(left_over) & set(house.replica_pids())), "no replica outlived the house")
    house.start()
    for name, old in before.items():
        new = house.api("GET", f"/{name}")
        assert (new["id"], new["config"]["config_version"]) == (old["id"], old["config"]["config_version"])
    assert house.predict(endpoint, BODY).json == {"predictions": ["one"]}
    assert house.predict("sleepy", BODY).json == {"predictions": ["two"]}
    house.delete("sleepy")
