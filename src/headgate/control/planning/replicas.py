"""Brings rows and machine together: first what became of replicas, then which to start and which to end. Pure; part of the plan."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from headgate.control import actions as act
from headgate.control.planning import backoff
from headgate.control.planning.deployments import Deployment, environment, replica_spec
from headgate.control.world import ENDED, Unavailable, World
from headgate.domain.endpoint import Endpoint
from headgate.domain.replica import Replica, ReplicaState
from headgate.replicas.runtime import EnvironmentState, ObservedReplica, ObservedState

GRACE_S = 15.0
"""The agent ends what is overdue itself; control steps in this much later."""
GONE = "The replica's process is gone: it was killed, or its machine was restarted."
MESSAGE_CHARACTERS = 8000
"""A longer message loses its middle: the first lines say what happened, the last ones are the end of the log."""
NO_REASON = "The replica ended without saying why. See its service log."


# -- what became of them -------------------------------------------------------------------------------------------


def settle(world: World, rows: Iterable[Replica]) -> tuple[list[act.Action], tuple[Replica, ...]]:
    """What the agent says about the replicas of one endpoint, and the rows as they are once that is written."""
    rows = tuple(rows)
    if world.observation is None:
        return [], rows
    planned: list[act.Action] = []
    after = []
    for row in rows:
        move = None if row.state in ENDED else _move(world, row, world.observation.replicas.get(row.id))
        if move is not None:
            planned.append(move)
        after.append(row if move is None else _moved(world, row, move))
    return planned, tuple(after)


def _move(world: World, row: Replica, seen: ObservedReplica | None) -> act.Action | None:
    if row.state is ReplicaState.STARTING:
        return _starting(world, row, seen)
    if row.state is ReplicaState.READY:
        return _ready(row, seen)
    return _draining(world, row, seen)


def _starting(world: World, row: Replica, seen: ObservedReplica | None) -> act.Action | None:
    if seen is not None and seen.state is ObservedState.READY:
        return act.MarkReady(row.id, seen.address, seen.slots, seen.how, seen.log_path)
    if seen is not None and seen.state is ObservedState.FAILED:
        return _failed(row, seen)
    if seen is not None and seen.state is ObservedState.DRAINING:
        return act.StopReplica(row.id)
    if world.now_ms - row.created_at_ms > (world.rules.load_deadline_s + GRACE_S) * 1000:
        return act.MarkFailed(row.id, f"The model was not loaded within {world.rules.load_deadline_s:g} seconds.")
    return None


def _ready(row: Replica, seen: ObservedReplica | None) -> act.Action | None:
    if seen is None:
        return act.MarkFailed(row.id, GONE, row.how, row.log_path)
    if seen.state is ObservedState.FAILED:
        return _failed(row, seen)
    return act.DrainReplica(row.id) if seen.state is ObservedState.DRAINING else None


def _draining(world: World, row: Replica, seen: ObservedReplica | None) -> act.Action | None:
    if seen is None or seen.state is ObservedState.FAILED:
        return act.StopReplica(row.id)
    since = world.past.draining_since.get(row.id, world.now_ms)
    if world.now_ms - since > (world.rules.drain_deadline_s + GRACE_S) * 1000:
        return act.StopReplica(row.id)
    if seen.state is ObservedState.DRAINING:
        return None
    return act.StopReplica(row.id, drain=True, record=False)


def _failed(row: Replica, seen: ObservedReplica) -> act.Action:
    return act.MarkFailed(row.id, clip(seen.message) or NO_REASON, seen.how or row.how, seen.log_path or row.log_path)


def _moved(world: World, row: Replica, move: act.Action) -> Replica:
    now = world.now_ms
    if isinstance(move, act.MarkReady):
        return dataclasses.replace(row, state=ReplicaState.READY, ready_at_ms=now, slots=move.slots)
    if isinstance(move, act.MarkFailed):
        return dataclasses.replace(row, state=ReplicaState.FAILED, ended_at_ms=now, message=move.message)
    if isinstance(move, act.DrainReplica) or (isinstance(move, act.StopReplica) and not move.record):
        return dataclasses.replace(row, state=ReplicaState.DRAINING)
    return dataclasses.replace(row, state=ReplicaState.STOPPED, ended_at_ms=now)


def strangers(world: World) -> list[act.Action]:
    """Replicas on the machine that no living row stands for are ended; one that may still be answering is drained."""
    if world.observation is None:
        return []
    planned: list[act.Action] = []
    for seen in world.observation.replicas.values():
        row = world.replicas.get(seen.id)
        if row is None and seen.state is not ObservedState.DRAINING:
            planned.append(act.StopReplica(seen.id, drain=seen.state is ObservedState.READY, record=False))
        elif row is not None and row.state in ENDED:
            planned.append(act.StopReplica(seen.id, record=False))
    return planned


# -- which to start, which to end ----------------------------------------------------------------------------------


def leave(row: Replica) -> act.Action | None:
    """Ends a replica that is not wanted any more."""
    if row.state is ReplicaState.READY:
        return act.DrainReplica(row.id)
    return act.StopReplica(row.id) if row.state is ReplicaState.STARTING else None


def surplus(deployment: Deployment, desired: int) -> list[act.Action]:
    """The youngest go first, those that have not come up before all others."""
    live = sorted(deployment.live(), key=lambda row: (row.state is ReplicaState.READY, -row.created_at_ms, row.id))
    return [action for row in live[: max(0, len(live) - desired)] if (action := leave(row)) is not None]


def lacking(world: World, endpoint: Endpoint, deployment: Deployment, desired: int) -> list[act.Action]:
    """Starts what is missing: rows the agent has lost, and new replicas as far as back-off allows."""
    assert world.observation is not None
    live = deployment.live()
    lost = [row for row in live if row.state is ReplicaState.STARTING and row.id not in world.observation.replicas]
    lost, new = lost[:desired], 0
    if len(live) < desired:
        rows = tuple(row for row in deployment.rows if row.created_at_ms >= counted_since(deployment))
        new = backoff.allowed_starts(rows, desired - len(live), world.rules, world.now_ms)
    if not lost and new == 0:
        return []
    environment_key, instead = _prepared(world, endpoint, deployment)
    if isinstance(instead, str):
        failing: list[act.Action] = [act.MarkFailed(row.id, instead) for row in lost]
        return failing or [act.RecordFailedStart(replica_spec(world, endpoint, deployment, ""), instead)]
    if not environment_key:
        return instead
    start = replica_spec(world, endpoint, deployment, environment_key)
    again = [act.StartReplica(dataclasses.replace(start, id=row.id, slots=row.slots)) for row in lost]
    return [*again, *[act.AddReplica(start)] * new]


def _prepared(world: World, endpoint: Endpoint, deployment: Deployment) -> tuple[str, list[act.Action] | str]:
    """Key of the environment to start in, or "" and what to do first, or why it cannot be had."""
    assert world.observation is not None
    if isinstance(deployment.model, Unavailable):
        return "", deployment.model.message
    spec = environment(deployment.model, deployment.lock, world.observation)
    found = world.observation.environments.get(spec.key)
    if found is not None and found.state is EnvironmentState.READY:
        return spec.key, []
    if found is not None and found.state is EnvironmentState.BUILDING:
        return "", []
    if found is not None and was_tried(world, endpoint, deployment, spec.key):
        return "", clip(found.message)
    return "", [act.EnsureEnvironment(endpoint.id, spec)]


def counted_since(deployment: Deployment) -> int:
    """Failures before then are of an earlier wish and do not count, milliseconds since the epoch."""
    return 0 if deployment.serving or deployment.pending is None else deployment.pending.created_at_ms


def was_tried(world: World, endpoint: Endpoint, deployment: Deployment, environment_key: str) -> bool:
    """Whether a FAILED environment is the outcome of our last asking, not of an earlier one that was dealt with."""
    failed_at = max((row.ended_at_ms for row in deployment.rows if row.state is ReplicaState.FAILED), default=0)
    asked_at = world.past.ensured.get((endpoint.id, environment_key), -1)
    return asked_at > failed_at and asked_at >= counted_since(deployment)


def clip(text: str) -> str:
    """At most MESSAGE_CHARACTERS."""
    if len(text) <= MESSAGE_CHARACTERS:
        return text
    head = MESSAGE_CHARACTERS // 4
    return f"{text[:head]}\n…\n{text[head + 3 - MESSAGE_CHARACTERS :]}"
