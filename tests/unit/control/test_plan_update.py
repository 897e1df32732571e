"""From a wish to traffic, or to a failure that says what to do."""

from __future__ import annotations

import dataclasses

import pytest
from tests.unit.control.worlds import (
    ID,
    NOW,
    RULES,
    S,
    active,
    agreeing,
    built,
    endpoint,
    entity,
    generation,
    load,
    machine,
    model,
    replica,
    seen,
    short,
    world,
)

from headgate.control import actions as act
from headgate.control.plan import plan
from headgate.control.world import Past, Unavailable
from headgate.domain.environment import EnvironmentSpec
from headgate.domain.replica import ReplicaState
from headgate.replicas.runtime import EnvironmentState, ObservedState

STARTING, READY, FAILED = ReplicaState.STARTING, ReplicaState.READY, ReplicaState.FAILED
DRAINING, STOPPED = ReplicaState.DRAINING, ReplicaState.STOPPED
ASKED = Past(ensured={(ID, model().environment.key): NOW - 20 * S})
NEW = endpoint(wanted=generation(1, entity()))
UPDATE = endpoint(serving=active(1, entity("1")), wanted=generation(2, entity("2")))


def one(actions: list[act.Action], kind: type) -> act.Action:
    (found,) = [action for action in actions if isinstance(action, kind)]
    return found


def test_a_new_endpoint_has_its_environment_built_first() -> None:
    planned = plan(world(NEW, observation=machine()))
    assert planned == [act.EnsureEnvironment(ID, model().environment)]


def test_nothing_is_done_while_the_environment_is_being_built() -> None:
    assert plan(world(NEW, observation=machine(*built("1", state=EnvironmentState.BUILDING)), past=ASKED)) == []


def test_one_replica_is_started_once_the_environment_is_there() -> None:
    (add,) = plan(world(NEW))
    assert isinstance(add, act.AddReplica)
    assert (add.spec.model_path, add.spec.slots, add.spec.memory_bytes) == ("/models/1", 2, 20)
    assert add.spec.environment_key == model().environment.key and add.spec.id == ""


def test_scale_to_zero_does_not_keep_a_new_version_from_being_tried() -> None:
    sleepy = endpoint(wanted=generation(1, entity(scale_to_zero_enabled=True)))
    assert short(plan(world(sleepy))) == ["AddReplica m-1"]


def test_a_starting_replica_is_waited_for() -> None:
    assert plan(world(NEW, replica("a", STARTING))) == []


def test_the_first_ready_replica_takes_the_traffic_with_the_environment_it_runs_in() -> None:
    rows = (replica("a", STARTING),)
    now_ready = machine(*built("1"), seen("a", ObservedState.READY, address="unix:/a", slots=2, how="fork"))
    ready, point = plan(world(NEW, *rows, observation=now_ready))
    assert ready == act.MarkReady("a", "unix:/a", 2, "fork", "")
    assert point == act.PointTraffic(ID, 1, {"m-1": "lock 1"})


def test_traffic_waits_for_every_entity() -> None:
    both = endpoint(wanted=generation(1, entity("1"), entity("2")))
    rows = (replica("a", READY, entity("1")), replica("b", STARTING, entity("2")))
    assert plan(world(both, *rows)) == []


def test_the_old_version_serves_until_the_new_one_is_ready_and_is_drained_after() -> None:
    rows = (replica("old", READY, entity("1")), replica("new", READY, entity("2")))
    assert short(plan(world(UPDATE, *rows))) == ["PointTraffic 2"]
    pointed = endpoint(serving=active(2, entity("2")))
    assert short(plan(world(pointed, *rows))) == ["DrainReplica old"]


def test_a_traffic_change_starts_nothing_and_is_done_at_once() -> None:
    one_two = (entity("1"), entity("2"))
    shift = endpoint(
        serving=active(1, *one_two, locks={"m-1": "lock 1"}),
        wanted=generation(2, *one_two, shares={"m-1": 10, "m-2": 90}),
    )
    rows = (replica("a", READY, entity("1")), replica("b", READY, entity("2")))
    assert short(plan(world(shift, *rows))) == ["PointTraffic 2"]


@pytest.mark.parametrize(
    ("what", "rows", "sleeps", "expected"),
    [
        ("asleep", (), True, ["PointTraffic 2"]),
        ("crashing", (replica("a", FAILED),), False, ["PointTraffic 2", "AddReplica m-1"]),
        ("recovering", (replica("a", FAILED), replica("b", STARTING)), False, ["PointTraffic 2"]),
        ("stopped before, the rows are forgotten", (), False, ["AddReplica m-1"]),
        ("stopped before", (replica("a", STOPPED),), False, ["AddReplica m-1"]),
        ("still stopping", (replica("a", DRAINING),), False, ["AddReplica m-1"]),
    ],
)
def test_what_already_serves_needs_no_new_proof_unless_it_was_stopped(
    what: str, rows: tuple, sleeps: bool, expected: list[str]
) -> None:
    # Older than the wish; the newest of them is what the deployment was doing when the wish came.
    since = NOW - 200 * S
    rows = tuple(
        dataclasses.replace(row, created_at_ms=since + i, ready_at_ms=row.ready_at_ms and since + i)
        for i, row in enumerate(rows)
    )
    same = entity(scale_to_zero_enabled=sleeps)
    shift = endpoint(serving=active(1, same), wanted=generation(2, same))
    assert short(plan(world(shift, *rows))) == expected, what


def test_a_failed_build_fails_the_update_and_says_which_entity() -> None:
    failed = machine(*built("1", state=EnvironmentState.FAILED, message="No solution found.\nPin numpy lower."))
    (report,) = plan(world(NEW, observation=failed, past=ASKED))
    assert isinstance(report, act.ReportFailure)
    assert report.message.startswith(
        "Served entity m-1: The environment of main.default.m version 1 could not be built."
    )
    assert report.entity_messages["m-1"].endswith("Pin numpy lower.")


@pytest.mark.parametrize("asked_at_ms", [None, NOW - 200 * S])
def test_a_build_that_failed_for_an_earlier_wish_is_tried_again(asked_at_ms: int | None) -> None:
    failed = machine(*built("1", state=EnvironmentState.FAILED, message="network down"))
    ensured = {} if asked_at_ms is None else {(ID, model().environment.key): asked_at_ms}
    planned = plan(world(NEW, observation=failed, past=Past(ensured=ensured)))
    assert planned == [act.EnsureEnvironment(ID, model().environment)]


def test_a_model_that_is_gone_fails_the_update() -> None:
    gone = {"2": Unavailable("Model version main.default.m 2 does not exist.")}
    rows = (replica("old", READY, entity("1")),)
    (report,) = plan(world(UPDATE, *rows, models=gone))
    assert isinstance(report, act.ReportFailure) and "does not exist" in report.entity_messages["m-2"]


def attempt(id: str, seconds_ago: int, message: str) -> object:
    at = {"created_at_ms": NOW - (seconds_ago + 5) * S, "ended_at_ms": NOW - seconds_ago * S}
    return replica(id, FAILED, entity("2"), message=message, **at)


def test_a_failed_start_is_tried_again() -> None:
    rows = (replica("old", READY, entity("1")), attempt("x", 5, "killed"))
    assert short(plan(world(UPDATE, *rows))) == ["AddReplica m-2"]


def test_an_update_fails_after_its_attempts_with_the_last_log_lines() -> None:
    rows = (
        replica("old", READY, entity("1")),
        attempt("x", 50, "killed"),
        attempt("y", 40, "out of memory"),
        attempt("z", 10, "cannot import moon\nlast line"),
    )
    (report,) = plan(world(UPDATE, *rows))
    assert isinstance(report, act.ReportFailure)
    assert "3 attempts" in report.message and report.entity_messages["m-2"].endswith("last line")


def test_the_same_reason_twice_in_a_row_is_believed() -> None:
    rows = (
        replica("old", READY, entity("1")),
        attempt("x", 50, "No module named moon\nlog of the first"),
        attempt("y", 10, "No module named moon\nlog of the second"),
    )
    assert short(plan(world(UPDATE, *rows))) == ["ReportFailure 2"]


def test_being_killed_twice_proves_nothing() -> None:
    rows = (
        replica("old", READY, entity("1")),
        attempt("x", 50, "killed by SIGKILL"),
        attempt("y", 10, "killed by SIGKILL"),
    )
    assert short(plan(world(UPDATE, *rows))) == ["AddReplica m-2"]


def test_failures_before_the_wish_do_not_count() -> None:
    rows = (replica("old", READY, entity("1")), *(attempt(id, 300, "same") for id in "xyz"))
    assert short(plan(world(UPDATE, *rows))) == ["AddReplica m-2"]


def test_what_a_failed_update_has_started_is_ended() -> None:
    both = endpoint(serving=active(1, entity("1")), wanted=generation(2, entity("2"), entity("3")))
    rows = (
        replica("old", READY, entity("1")),
        replica("up", READY, entity("2")),
        replica("loads", STARTING, entity("3")),
        *(dataclasses.replace(attempt(id, 10, "same"), deployment_key=entity("3").deployment_key(ID)) for id in "xy"),
    )
    planned = short(plan(world(both, *rows)))
    assert planned == ["ReportFailure 2", "DrainReplica up", "StopReplica loads"]


def test_a_newer_wish_supersedes_and_its_predecessor_ends() -> None:
    newer = endpoint(serving=active(1, entity("1")), wanted=generation(3, entity("3")))
    rows = (replica("old", READY, entity("1")), replica("two", STARTING, entity("2")))
    assert short(plan(world(newer, *rows))) == ["AddReplica m-3", "StopReplica two"]


def test_a_new_version_is_given_as_many_processes_as_its_share_of_the_load_needs() -> None:
    busy = load(entity("1"), in_flight=3)
    rows = (replica("old", READY, entity("1")), replica("old2", READY, entity("1")), replica("new", READY, entity("2")))
    assert short(plan(world(UPDATE, *rows, loads=busy))) == ["AddReplica m-2"]
    rows += (replica("new2", STARTING, entity("2")),)
    assert short(plan(world(UPDATE, *rows, loads=busy))) == []
    rows = (*rows[:-1], replica("new2", READY, entity("2")))
    assert short(plan(world(UPDATE, *rows, loads=busy))) == ["PointTraffic 2"]


def test_a_new_version_goes_without_more_processes_when_they_do_not_come_up() -> None:
    busy = load(entity("1"), in_flight=4)
    old = (replica("old", READY, entity("1")), replica("old2", READY, entity("1")))
    rows = (*old, replica("new", READY, entity("2")), attempt("x", 5, "out of memory"))
    assert short(plan(world(UPDATE, *rows, loads=busy)))[0] == "PointTraffic 2"


def test_a_generation_that_was_given_an_environment_is_started_in_it_again() -> None:
    serving = endpoint(serving=active(1, entity(), locks={"m-1": "numpy==1"}))
    same = machine(*built("1", lock="numpy==1"))
    (add,) = plan(world(serving, observation=same))
    assert isinstance(add, act.AddReplica) and add.spec.environment_key == model().environment.key
    other = machine(*built("1", lock="numpy==2"))
    locked = dataclasses.replace(model().environment, lock="numpy==1")
    assert plan(world(serving, observation=other)) == [act.EnsureEnvironment(ID, locked)]


def test_a_rollback_gets_the_environment_of_the_earlier_generation() -> None:
    locks = {entity("2").deployment_key(ID): "numpy==1"}
    locked = EnvironmentSpec("3.11.7", ("scikit-learn==2",), lock="numpy==1")
    rows = (replica("old", READY, entity("1")),)
    assert plan(world(UPDATE, *rows, locks=locks)) == [act.EnsureEnvironment(ID, locked)]
    rows += (replica("new", READY, entity("2")),)
    point = one(plan(world(UPDATE, *rows, locks=locks)), act.PointTraffic)
    assert isinstance(point, act.PointTraffic) and point.locks == {"m-2": "numpy==1"}


def test_while_the_agent_is_away_only_what_needs_no_agent_is_concluded() -> None:
    rows = (replica("old", READY, entity("1")), replica("new", READY, entity("2")))
    assert plan(world(UPDATE, *rows, observation=None)) == []
    shift = endpoint(serving=active(1, entity("1")), wanted=generation(2, entity("1")))
    assert short(plan(world(shift, rows[0], observation=None))) == ["PointTraffic 2"]


def test_a_config_without_entities_is_served_at_once() -> None:
    assert short(plan(world(endpoint(wanted=generation(1))))) == ["PointTraffic 1"]


def test_a_long_message_keeps_its_reason_and_the_end_of_its_log() -> None:
    rows = (attempt("x", 50, "why" + "l" * 20_000 + "end"), attempt("y", 10, "why" + "l" * 20_000 + "end"))
    new = endpoint(wanted=generation(2, entity("2")))
    (report,) = plan(world(new, *rows, rules=RULES, observation=agreeing((), *built("2"))))
    assert isinstance(report, act.ReportFailure) and len(report.message) <= 8000
    assert "why" in report.message and report.message.endswith("end")
