"""Rows against machine: what came up, what died, what nobody wants."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from tests.unit.control.worlds import (
    ID,
    NOW,
    S,
    active,
    agreeing,
    built,
    endpoint,
    entity,
    generation,
    machine,
    model,
    replica,
    rules,
    seen,
    short,
    world,
)

from headgate.control import actions as act
from headgate.control.plan import plan
from headgate.control.world import Past, Unavailable
from headgate.domain.replica import Replica, ReplicaState
from headgate.replicas.runtime import EnvironmentState, ObservedState

STARTING, READY, FAILED = ReplicaState.STARTING, ReplicaState.READY, ReplicaState.FAILED
DRAINING, STOPPED = ReplicaState.DRAINING, ReplicaState.STOPPED
SERVING = endpoint(serving=active(1, entity()))
HEALTHY = replica("ok", READY)


def looking(row: Replica, state: ObservedState | None, **more: Any) -> list[act.Action]:
    """The plan when the agent says this of one replica, beside a healthy one."""
    things = [] if state is None else [seen(row.id, state, **more)]
    observation = machine(*built("1"), seen("ok", ObservedState.READY), *things)
    return plan(world(SERVING, HEALTHY, row, observation=observation, past=Past(peaks={row.deployment_key: 2})))


@pytest.mark.parametrize(
    ("row", "agent", "expected"),
    [
        (STARTING, ObservedState.STARTING, []),
        (STARTING, ObservedState.READY, ["MarkReady r"]),
        (STARTING, ObservedState.FAILED, ["MarkFailed r", "AddReplica m-1"]),
        (STARTING, ObservedState.DRAINING, ["StopReplica r", "AddReplica m-1"]),
        (STARTING, None, ["StartReplica r"]),
        (READY, ObservedState.READY, []),
        (READY, ObservedState.STARTING, []),
        (READY, ObservedState.FAILED, ["MarkFailed r", "AddReplica m-1"]),
        (READY, ObservedState.DRAINING, ["DrainReplica r", "AddReplica m-1"]),
        (READY, None, ["MarkFailed r", "AddReplica m-1"]),
        (DRAINING, ObservedState.DRAINING, ["AddReplica m-1"]),
        (DRAINING, ObservedState.READY, ["StopReplica r", "AddReplica m-1"]),
        (DRAINING, ObservedState.FAILED, ["StopReplica r", "AddReplica m-1"]),
        (DRAINING, None, ["StopReplica r", "AddReplica m-1"]),
        (FAILED, ObservedState.FAILED, ["AddReplica m-1", "StopReplica r"]),
        (STOPPED, ObservedState.READY, ["AddReplica m-1", "StopReplica r"]),
        (STOPPED, None, ["AddReplica m-1"]),
    ],
)
def test_every_row_against_everything_the_agent_may_say(
    row: ReplicaState, agent: ObservedState | None, expected: list[str]
) -> None:
    assert short(looking(replica("r", row), agent)) == expected


def test_a_died_replica_keeps_its_last_log_lines() -> None:
    died = looking(
        replica("r", READY), ObservedState.FAILED, message="killed by signal 9\nlog", log_path="/log", how="fork"
    )
    assert died[0] == act.MarkFailed("r", "killed by signal 9\nlog", "fork", "/log")


def test_a_draining_replica_told_again_is_drained_not_killed() -> None:
    assert looking(replica("r", DRAINING), ObservedState.READY)[0] == act.StopReplica("r", drain=True, record=False)


@pytest.mark.parametrize(("since_s", "expected"), [(10, []), (616, ["StopReplica r"])])
def test_a_drain_ends_after_its_deadline(since_s: int, expected: list[str]) -> None:
    rows = (HEALTHY, replica("r", DRAINING))
    past = Past(draining_since={"r": NOW - since_s * S})
    assert short(plan(world(SERVING, *rows, past=past))) == expected


def test_a_replica_that_loads_for_too_long_has_failed() -> None:
    slow = replica("r", STARTING, created_at_ms=NOW - 16 * S)
    failed, again = plan(world(SERVING, slow, rules=rules(load_deadline_s=0.5)))
    assert isinstance(failed, act.MarkFailed) and "not loaded within 0.5 seconds" in failed.message
    assert isinstance(again, act.AddReplica)


def test_nothing_is_decided_about_replicas_while_the_agent_is_away() -> None:
    rows = (HEALTHY, replica("s", STARTING), replica("d", DRAINING), replica("other", READY, entity("9")))
    assert plan(world(SERVING, *rows, observation=None)) == []


def test_strangers_on_the_machine_are_ended_and_those_that_may_answer_are_drained() -> None:
    strangers = (
        seen("up", ObservedState.READY),
        seen("loading", ObservedState.STARTING),
        seen("going", ObservedState.DRAINING),
    )
    observation = agreeing((HEALTHY,), *built("1"), *strangers)
    assert plan(world(SERVING, HEALTHY, observation=observation)) == [
        act.StopReplica("up", drain=True, record=False),
        act.StopReplica("loading", drain=False, record=False),
    ]


def test_a_restarted_control_changes_nothing_about_what_runs() -> None:
    rows = (HEALTHY, replica("two", READY), replica("three", DRAINING))
    observation = agreeing(rows, *built("1"))
    known = Past(peaks={HEALTHY.deployment_key: 2})
    assert plan(world(SERVING, *rows, observation=observation, past=known)) == []


# -- back-off ------------------------------------------------------------------------------------------------------


def crash(id: str, born_s: float, died_s: float, ready: bool = True) -> Replica:
    """Seconds before now."""
    at = {"created_at_ms": int(NOW - born_s * S), "ended_at_ms": int(NOW - died_s * S)}
    return replica(id, FAILED, ready_at_ms=at["created_at_ms"] if ready else 0, message="boom", **at)


@pytest.mark.parametrize(
    ("what", "rows", "starts"),
    [
        ("the first death", (crash("a", 10, 0),), True),
        ("the second, just now", (crash("a", 10, 5), crash("b", 5, 0)), False),
        ("the second, a second ago", (crash("a", 10, 5), crash("b", 5, 1)), True),
        ("the third, a second ago", (crash("a", 10, 5), crash("b", 5, 3), crash("c", 3, 1)), False),
        ("the third, two seconds ago", (crash("a", 10, 5), crash("b", 5, 3), crash("c", 3, 2)), True),
        ("three that died together", (crash("a", 10, 0), crash("b", 9, 0), crash("c", 8, 0)), True),
        ("one lived long between", (crash("a", 300, 290), crash("b", 290, 280), crash("c", 280, 0)), True),
        ("never came up", (crash("a", 9, 8, False), crash("b", 8, 0.5, False)), False),
        ("waits no longer than the most", tuple(crash(str(i), 800 - 9 * i, 791 - 9 * i) for i in range(81)), True),
    ],
)
def test_a_replica_that_keeps_dying_is_replaced_later_each_time(
    what: str, rows: tuple[Replica, ...], starts: bool
) -> None:
    assert (short(plan(world(SERVING, *rows))) == ["AddReplica m-1"]) is starts, what


def test_after_repeated_failures_one_replica_is_tried_at_a_time() -> None:
    wide = Past(peaks={HEALTHY.deployment_key: 2})
    crashes = (crash("a", 30, 25), crash("b", 25, 20))
    assert short(plan(world(SERVING, *crashes, past=wide))) == ["AddReplica m-1"]
    trying = replica("c", STARTING, created_at_ms=NOW - 5 * S)
    assert short(plan(world(SERVING, *crashes, trying, past=wide))) == []
    assert short(plan(world(SERVING, crashes[0], past=wide))) == ["AddReplica m-1", "AddReplica m-1"]


# -- what cannot be started ----------------------------------------------------------------------------------------


def test_a_served_model_that_is_gone_shows_why_it_cannot_start() -> None:
    gone = {"1": Unavailable("Model version main.default.m 1 was deleted.")}
    (record,) = plan(world(SERVING, models=gone))
    assert isinstance(record, act.RecordFailedStart) and record.message.endswith("was deleted.")
    assert record.spec.deployment_key == entity().deployment_key(ID)


def test_a_served_model_that_is_gone_goes_on_as_long_as_its_replicas_live() -> None:
    gone = {"1": Unavailable("deleted")}
    assert plan(world(SERVING, HEALTHY, models=gone)) == []


def test_an_environment_that_cannot_be_rebuilt_shows_why_and_is_tried_again_later() -> None:
    failed = machine(*built("1", state=EnvironmentState.FAILED, message="disk full"))
    key = model().environment.key
    assert short(plan(world(SERVING, observation=failed))) == ["EnsureEnvironment scikit-learn==1"]
    asked = Past(ensured={(ID, key): NOW - 5 * S})
    (record,) = plan(world(SERVING, observation=failed, past=asked))
    assert record == act.RecordFailedStart(record.spec, "disk full")  # type: ignore[union-attr]
    recorded = crash("x", 1, 1, ready=False)
    assert short(plan(world(SERVING, recorded, observation=failed, past=asked))) == [
        "EnsureEnvironment scikit-learn==1"
    ]
    again = (crash("w", 5, 5, ready=False), crash("x", 0.5, 0.5, ready=False))
    assert plan(world(SERVING, *again, observation=failed, past=asked)) == []


def test_a_lost_replica_whose_environment_is_gone_waits_for_it() -> None:
    lost = replica("r", STARTING)
    assert short(plan(world(SERVING, lost, observation=machine()))) == ["EnsureEnvironment scikit-learn==1"]


# -- stop and delete -----------------------------------------------------------------------------------------------


def test_a_stopped_endpoint_is_drained() -> None:
    rows = (HEALTHY, replica("s", STARTING), replica("d", DRAINING))
    stopped = endpoint(serving=active(1, entity()), stopped=True)
    assert short(plan(world(stopped, *rows))) == ["DrainReplica ok", "StopReplica s"]


def test_an_endpoint_deleted_while_it_is_created_is_cleaned_up_and_forgotten() -> None:
    deleted = endpoint(wanted=generation(1, entity()), deleted=True)
    assert short(plan(world(deleted, replica("s", STARTING)))) == ["StopReplica s"]
    assert plan(world(deleted, replica("s", STOPPED))) == [act.ForgetEndpoint(ID)]
    assert plan(world(deleted)) == [act.ForgetEndpoint(ID)]


def test_a_deleted_endpoint_finishes_its_requests_before_it_is_forgotten() -> None:
    deleted = endpoint(serving=active(1, entity()), deleted=True)
    assert short(plan(world(deleted, HEALTHY))) == ["DrainReplica ok"]
    draining = dataclasses.replace(HEALTHY, state=DRAINING)
    assert plan(world(deleted, draining)) == []
    gone = plan(world(deleted, draining, observation=machine()))
    assert gone == [act.StopReplica("ok"), act.ForgetEndpoint(ID)]
