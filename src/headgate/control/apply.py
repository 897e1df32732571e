"""Does what was planned: one small function per action. Called by the loop, for one endpoint's actions in order.

Rows are written first and the agent is told after, so that whatever is lost in between is seen and repeated by the next lap.
Nothing slow runs inside a transaction.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headgate.access.secrets import SecretUnavailable
from headgate.clock import Clock, within
from headgate.control import actions as act
from headgate.control.history import History
from headgate.control.observe import RUNTIME_DEADLINE_S
from headgate.control.planning.replicas import clip
from headgate.domain.endpoint import Generation, Outcome, ServedEntity
from headgate.domain.replica import Replica, ReplicaState
from headgate.errors import TemporarilyUnavailable
from headgate.replicas.runtime import ReplicaSpec, Runtime, RuntimeUnreachable
from headgate.store.activity import Activity
from headgate.store.endpoints import Endpoints
from headgate.store.replicas import Replicas
from headgate.store.servers import Servers


@dataclass(frozen=True, slots=True)
class Applier:
    """What actions are done with."""

    endpoints: Endpoints
    replicas: Replicas
    activity: Activity
    servers: Servers
    runtime: Runtime
    clock: Clock
    history: History
    may_act: Callable[[], bool]
    """Whether the lease is still ours."""
    secret_vars: Callable[[ReplicaSpec], Mapping[str, str]]
    """The environment variables of a replica that hold something secret, asked right before it starts and kept nowhere.
    Blocks. Raises SecretUnavailable."""
    refusal: Callable[[ServedEntity, Sequence[str]], str]
    """(entity with the version it follows its alias to, its creator and the endpoint's) -> why not; empty: it may be served. Blocks.
    Raises TemporarilyUnavailable."""
    new_id: Callable[[], str]
    """A replica id never used before: short, safe in a file name."""

    async def apply(self, action: act.Action) -> bool:
        """Does one action. False: it is void (a newer wish, a lost lease), and so is what was planned to follow it.

        Raises RuntimeUnreachable when the agent is away.
        """
        if not self.may_act():
            return False
        return await _FUNCTIONS[type(action)](self, action)


async def _tell(request: Awaitable[None]) -> bool:
    try:
        await within(RUNTIME_DEADLINE_S, request)
    except asyncio.TimeoutError as error:
        raise RuntimeUnreachable(f"no answer within {RUNTIME_DEADLINE_S:g} seconds") from error
    return True


async def _ensure_environment(to: Applier, action: act.EnsureEnvironment) -> bool:
    asked_at_ms = to.clock.now_ms()
    await _tell(to.runtime.ensure_environment(action.spec))
    to.history.note_ensured(action.endpoint_id, action.spec.key, asked_at_ms)
    return True


async def _add_replica(to: Applier, action: act.AddReplica) -> bool:
    row = _new_row(to, action.spec)
    await asyncio.to_thread(to.replicas.add, row)
    return await _start(to, dataclasses.replace(action.spec, id=row.id))


async def _record_failed_start(to: Applier, action: act.RecordFailedStart) -> bool:
    row = _new_row(to, action.spec)
    await asyncio.to_thread(to.replicas.add, row)
    return await _move(to, row.id, ReplicaState.FAILED, message=action.message, ended_at=to.clock.now_ms())


def _new_row(to: Applier, spec: ReplicaSpec) -> Replica:
    return Replica(
        id=to.new_id(),
        endpoint_id=spec.endpoint_id,
        deployment_key=spec.deployment_key,
        entity_name=spec.entity_name,
        state=ReplicaState.STARTING,
        created_at_ms=to.clock.now_ms(),
        slots=spec.slots,
    )


async def _start_replica(to: Applier, action: act.StartReplica) -> bool:
    return await _start(to, action.spec)


async def _start(to: Applier, spec: ReplicaSpec) -> bool:
    """With the secrets of this very moment. One that cannot be had fails the replica, whose row says why."""
    try:
        secret_vars = await asyncio.to_thread(to.secret_vars, spec)
    except SecretUnavailable as error:
        message = f"the environment variables of {spec.entity_name} cannot be made: {error}"
        return await _move(to, spec.id, ReplicaState.FAILED, message=message, ended_at=to.clock.now_ms())
    return await _tell(to.runtime.start_replica(dataclasses.replace(spec, secret_vars=secret_vars)))


async def _mark_ready(to: Applier, action: act.MarkReady) -> bool:
    values = {"address": action.address, "slots": action.slots, "how": action.how[:256], "log_path": action.log_path}
    return await _move(to, action.replica_id, ReplicaState.READY, ready_at=to.clock.now_ms(), **values)


async def _mark_failed(to: Applier, action: act.MarkFailed) -> bool:
    values = {"message": action.message, "how": action.how[:256], "log_path": action.log_path}
    await _move(to, action.replica_id, ReplicaState.FAILED, ended_at=to.clock.now_ms(), **values)
    return await _tell(to.runtime.stop_replica(action.replica_id, drain=False))


async def _drain_replica(to: Applier, action: act.DrainReplica) -> bool:
    await _move(to, action.replica_id, ReplicaState.DRAINING)
    return await _tell(to.runtime.stop_replica(action.replica_id, drain=True))


async def _stop_replica(to: Applier, action: act.StopReplica) -> bool:
    if action.record:
        await _move(to, action.replica_id, ReplicaState.STOPPED, ended_at=to.clock.now_ms())
    return await _tell(to.runtime.stop_replica(action.replica_id, drain=action.drain))


async def _move(to: Applier, replica_id: str, target: ReplicaState, **values: Any) -> bool:
    return await asyncio.to_thread(to.replicas.move, replica_id, target, **values)


async def _point_traffic(to: Applier, action: act.PointTraffic) -> bool:
    return await asyncio.to_thread(to.endpoints.activate, action.endpoint_id, action.generation, action.locks)


async def _report_failure(to: Applier, action: act.ReportFailure) -> bool:
    failed = to.endpoints.fail
    return await asyncio.to_thread(
        failed, action.endpoint_id, action.generation, action.message, action.entity_messages
    )


async def _follow(to: Applier, action: act.Follow) -> bool:
    """Raises nothing for what cannot be said now: the next lap asks again."""
    try:
        refusals = await asyncio.to_thread(_refusals, to, action)
    except TemporarilyUnavailable:
        return False
    generation = Generation(action.generation, action.config, Outcome.PENDING, to.clock.now_ms())
    if refusals:
        message = "\n".join(f"Served entity {name}: {why}" for name, why in refusals.items())
        generation = dataclasses.replace(generation, outcome=Outcome.FAILED, message=message, entity_messages=refusals)
    return await asyncio.to_thread(to.endpoints.follow, action.endpoint_id, generation)


def _refusals(to: Applier, action: act.Follow) -> dict[str, str]:
    """Served entity -> why it may not be given the version that its alias names now."""
    endpoint = to.endpoints.by_id(action.endpoint_id)
    creators = () if endpoint is None else (endpoint.creator,)
    moved = [entity for entity in action.config.served_entities if entity.name in action.moved]
    found = {e.name: to.refusal(e, tuple(dict.fromkeys((e.creator, *creators)))) for e in moved}
    return {name: clip(why) for name, why in found.items() if why}


async def _forget_endpoint(to: Applier, action: act.ForgetEndpoint) -> bool:
    await asyncio.to_thread(to.endpoints.forget, action.endpoint_id)
    return True


async def _retain(to: Applier, action: act.RetainEnvironments) -> bool:
    return await _tell(to.runtime.retain(action.keys))


async def _prune(to: Applier, action: act.Prune) -> bool:
    await asyncio.to_thread(to.replicas.prune, action.ended_before_ms)
    await asyncio.to_thread(to.activity.prune, action.live_keys, action.reported_before_ms)
    await asyncio.to_thread(to.servers.prune, action.seen_before_ms)
    return True


_FUNCTIONS: Mapping[type[Any], Callable[[Applier, Any], Awaitable[bool]]] = {
    act.EnsureEnvironment: _ensure_environment,
    act.AddReplica: _add_replica,
    act.RecordFailedStart: _record_failed_start,
    act.StartReplica: _start_replica,
    act.MarkReady: _mark_ready,
    act.MarkFailed: _mark_failed,
    act.DrainReplica: _drain_replica,
    act.StopReplica: _stop_replica,
    act.PointTraffic: _point_traffic,
    act.ReportFailure: _report_failure,
    act.Follow: _follow,
    act.ForgetEndpoint: _forget_endpoint,
    act.RetainEnvironments: _retain,
    act.Prune: _prune,
}
