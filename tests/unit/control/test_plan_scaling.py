"""More processes at once, fewer after a while, none when asleep, one when called."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.control.worlds import NOW, S, active, endpoint, entity, load, model, replica, rules, short, world

from headgate.control.plan import plan
from headgate.control.world import Past
from headgate.domain.replica import Replica, ReplicaState

STARTING, READY, FAILED = ReplicaState.STARTING, ReplicaState.READY, ReplicaState.FAILED
DRAINING, STOPPED = ReplicaState.DRAINING, ReplicaState.STOPPED
WIDE = entity(max_provisioned_concurrency=8)  # on 4 cores: 4 processes of 2 slots
SLEEPY = entity(scale_to_zero_enabled=True)
KEY, SLEEPY_KEY = WIDE.deployment_key("e" * 32), SLEEPY.deployment_key("e" * 32)


def of_load(in_flight: int, queued: int, *rows: Replica, peak: int = 0, **more: Any) -> list[str]:
    past = Past(peaks={KEY: peak} if peak else {})
    serving = endpoint(serving=active(1, WIDE))
    given = {"loads": load(WIDE, in_flight, queued), "past": past, "rules": rules(cores=4)} | more
    return short(plan(world(serving, *rows, **given)))


def up(*ids: str, state: ReplicaState = READY) -> tuple[Replica, ...]:
    return tuple(replica(id, state, WIDE, created_at_ms=NOW - (50 - i) * S) for i, id in enumerate(ids))


@pytest.mark.parametrize(
    ("in_flight", "queued", "new"), [(0, 0, 0), (2, 0, 0), (2, 1, 1), (3, 0, 1), (2, 4, 2), (2, 6, 3), (2, 90, 3)]
)
def test_processes_come_at_once_and_never_too_many(in_flight: int, queued: int, new: int) -> None:
    assert of_load(in_flight, queued, *up("a")) == ["AddReplica m-1"] * new


def test_processes_that_are_starting_count() -> None:
    assert of_load(2, 2, *up("a"), *up("b", state=STARTING)) == []


def test_a_process_goes_only_when_the_whole_window_needed_less() -> None:
    assert of_load(1, 0, *up("a", "b", "c"), peak=3) == []
    assert of_load(1, 0, *up("a", "b", "c"), peak=2) == ["DrainReplica c"]
    assert of_load(1, 0, *up("a", "b"), *up("c", state=STARTING), peak=2) == ["StopReplica c"]


def test_the_last_process_of_an_entity_that_may_not_sleep_stays() -> None:
    assert of_load(0, 0, *up("a", "b"), peak=0) == ["DrainReplica b"]
    assert of_load(0, 0, *up("a"), peak=0) == []


def test_a_smaller_limit_takes_processes_away() -> None:
    assert of_load(9, 9, *up("a", "b", "c"), peak=3, rules=rules(cores=4, processes_per_entity=2)) == ["DrainReplica c"]


def test_an_io_bound_model_stays_one_process() -> None:
    assert of_load(8, 50, *up("a"), models={"1": model(io_bound=True)}) == []


# -- sleep ---------------------------------------------------------------------------------------------------------


def sleepy(*rows: Replica, **more: Any) -> list[str]:
    serving = endpoint(serving=active(1, SLEEPY))
    return short(plan(world(serving, *rows, **({"rules": rules(idle_s=30)} | more))))


def old(id: str, state: ReplicaState, ready_s: float = 100, **more: Any) -> Replica:
    ready_at = int(NOW - ready_s * S) if state is not STARTING else 0
    return replica(id, state, SLEEPY, created_at_ms=int(NOW - (ready_s + 1) * S), ready_at_ms=ready_at, **more)


@pytest.mark.parametrize(
    ("what", "more", "sleeps"),
    [
        ("nothing for long", {"loads": load(SLEEPY, 0, idle_s=31)}, True),
        ("never a request", {}, True),
        ("a request lately", {"loads": load(SLEEPY, 0, idle_s=29)}, False),
        ("one still runs", {"loads": load(SLEEPY, 1, idle_s=300)}, False),
        ("one still waits", {"loads": load(SLEEPY, 0, 1, idle_s=300)}, False),
        ("somebody called lately", {"demands": {SLEEPY_KEY: NOW - 29 * S}}, False),
        ("a peak does not keep it awake", {"past": Past(peaks={SLEEPY_KEY: 2})}, True),
    ],
)
def test_an_idle_entity_sleeps(what: str, more: dict[str, Any], sleeps: bool) -> None:
    assert (sleepy(old("a", READY), **more) == ["DrainReplica a"]) is sleeps, what


def test_it_stays_awake_for_a_while_after_it_came_up() -> None:
    assert sleepy(old("a", READY, ready_s=29)) == []
    assert sleepy(old("a", STARTING, ready_s=500)) == []


def test_a_sleeping_entity_is_left_alone() -> None:
    assert sleepy(old("a", STOPPED)) == []
    assert sleepy() == []


@pytest.mark.parametrize(
    ("what", "rows", "called_s", "met_s", "wakes"),
    [
        ("a call", (old("a", STOPPED),), 0, None, True),
        ("a call while the last one ends", (old("a", DRAINING, 200),), 0, None, True),
        ("a call that a replica met", (old("a", STOPPED),), 150, 150, False),
        ("a call older than any request waits", (old("a", STOPPED, 400),), 301, None, False),
        ("a call before the replica came up", (old("a", STOPPED, 100),), 120, None, False),
        ("a call whose replica failed to start", (old("a", FAILED, ended_at_ms=NOW - S),), 20, None, True),
        ("a call is met by the replica that is starting", (old("a", STARTING, 5),), 3, None, False),
    ],
)
def test_a_call_wakes_it_once(
    what: str, rows: tuple[Replica, ...], called_s: int, met_s: int | None, wakes: bool
) -> None:
    past = Past(met={} if met_s is None else {SLEEPY_KEY: NOW - met_s * S})
    planned = sleepy(*rows, demands={SLEEPY_KEY: NOW - called_s * S}, past=past)
    assert (planned == ["AddReplica m-1"]) is wakes, what


def test_requests_that_wait_wake_it_even_if_the_call_was_lost() -> None:
    assert sleepy(old("a", STOPPED), loads=load(SLEEPY, 0, 1)) == ["AddReplica m-1"]


def test_a_replica_that_died_while_awake_is_replaced_and_while_idle_is_not() -> None:
    died = old("a", FAILED, ended_at_ms=NOW - S)
    assert sleepy(died, loads=load(SLEEPY, 0, idle_s=10)) == ["AddReplica m-1"]
    assert sleepy(died, loads=load(SLEEPY, 0, idle_s=40)) == []
