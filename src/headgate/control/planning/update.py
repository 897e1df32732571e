"""Whether the generation that is being deployed may serve, has failed, or needs more time. Pure; part of the plan."""

from __future__ import annotations

from collections.abc import Iterable

from headgate.control import actions as act
from headgate.control.planning.deployments import Deployment, environment
from headgate.control.planning.replicas import clip, was_tried
from headgate.control.planning.scaling import expected
from headgate.control.world import Unavailable, World, pending
from headgate.domain.endpoint import Endpoint
from headgate.domain.replica import Replica, ReplicaState
from headgate.replicas.models import UNAVAILABLE
from headgate.replicas.runtime import EnvironmentState

BY_CHANCE = ("killed", "ended", f"the replica could not be started: {UNAVAILABLE}")
"""How the agent begins a reason that proves nothing about the model: a process that did not end by itself, a storage that was away."""


def conclude(world: World, endpoint: Endpoint, deployments: list[Deployment]) -> list[act.Action]:
    """ReportFailure, PointTraffic, or nothing yet."""
    wanted = pending(endpoint)
    if wanted is None:
        return []
    if wanted.config.is_external:  # a vendor runs it: there is nothing to wait for, nor anything the agent could say
        return [act.PointTraffic(endpoint.id, wanted.number, {})]
    concerned = [deployment for deployment in deployments if deployment.pending is not None]
    unproven = [deployment for deployment in concerned if not is_proven(deployment)]
    failures = {d.entity.name: why for d in unproven if (why := failure(world, endpoint, d)) is not None}
    if failures:
        whole = "\n".join(f"Served entity {name}: {why}" for name, why in failures.items())
        return [act.ReportFailure(endpoint.id, wanted.number, clip(whole), failures)]
    if unproven or not all(_is_warm(world, deployment, deployments) for deployment in concerned):
        return []
    if world.observation is None and not all(deployment.serving for deployment in concerned):
        return []  # their environments, which are kept with the generation, cannot be seen now
    locks = {d.entity.name: lock for d in concerned if (lock := _lock(world, d))}
    return [act.PointTraffic(endpoint.id, wanted.number, locks)]


def is_proven(deployment: Deployment) -> bool:
    """Whether its model is known to load: a replica was READY since the wish.

    What already serves is proven too, asleep or even recovering, so that a traffic change starts no process and can route
    away from an entity that crashes. After `config:stop` it must come up again first.
    """
    assert deployment.pending is not None
    since = deployment.pending.created_at_ms
    if deployment.ready() or any(row.ready_at_ms >= since for row in deployment.rows if row.ready_at_ms):
        return True
    if not deployment.serving or deployment.entity.scale_to_zero_enabled:
        return deployment.serving
    before = [row for row in deployment.rows if row.created_at_ms < since]
    return bool(before) and before[-1].state not in (ReplicaState.DRAINING, ReplicaState.STOPPED)


def failure(world: World, endpoint: Endpoint, deployment: Deployment) -> str | None:
    """Why an unproven deployment cannot come up, and what to do; None while it may."""
    entity, model = deployment.entity, deployment.model
    name = f"{entity.entity_name} version {entity.entity_version}"
    if isinstance(model, Unavailable):
        return clip(f"The model {name} cannot be served. {model.message}")
    if world.observation is not None:
        key = environment(model, deployment.lock, world.observation).key
        found = world.observation.environments.get(key)
        if found is not None and found.state is EnvironmentState.FAILED and was_tried(world, endpoint, deployment, key):
            return clip(f"The environment of {name} could not be built. {found.message}")
    failed = _failed_starts(deployment)
    if len(failed) >= world.rules.start_attempts or _is_certain(failed):
        return clip(f"{name} did not start in {len(failed)} attempts. {failed[-1].message}")
    return None


def _failed_starts(deployment: Deployment) -> list[Replica]:
    assert deployment.pending is not None
    since = deployment.pending.created_at_ms
    return [
        row
        for row in deployment.rows
        if row.state is ReplicaState.FAILED and not row.ready_at_ms and row.created_at_ms >= since
    ]


def _is_certain(failed: list[Replica]) -> bool:
    """The same reason twice in a row, told by the model itself: a third attempt would only cost time."""
    reasons = [row.message.partition("\n")[0] for row in failed[-2:]]
    return len(reasons) == 2 and reasons[0] == reasons[1] and not reasons[0].startswith(BY_CHANCE)


def _is_warm(world: World, deployment: Deployment, deployments: Iterable[Deployment]) -> bool:
    """Whether it can take over its share of the load at once. If more replicas will not come up, it goes without."""
    if deployment.serving or len(deployment.ready()) >= expected(world, deployment, deployments):
        return True
    assert deployment.pending is not None
    since = deployment.pending.created_at_ms
    return any(row.state is ReplicaState.FAILED and row.created_at_ms >= since for row in deployment.rows)


def _lock(world: World, deployment: Deployment) -> str:
    if deployment.lock or world.observation is None or isinstance(deployment.model, Unavailable):
        return deployment.lock
    found = world.observation.environments.get(deployment.model.environment.key)
    return "" if found is None else found.lock
