"""How many processes a deployment should have now: load, sleep and waking. Pure; part of the plan."""

from __future__ import annotations

from collections.abc import Iterable

from headgate.control.planning.deployments import Deployment, sizing_of
from headgate.control.world import World, requests
from headgate.domain.replica import ReplicaState


def desired(world: World, deployment: Deployment, deployments: Iterable[Deployment]) -> int:
    """Processes wanted, 0 for asleep. Up at once; down once the load was lower for the whole down window."""
    sizing = sizing_of(world, deployment)
    least = _least(world, deployment, deployments)
    if least == 0:
        return 0
    asked = sizing.processes_for(requests(world.loads.get(deployment.key)))
    return min(max(least, asked, world.past.peaks.get(deployment.key, 0)), sizing.max_processes)


def _least(world: World, deployment: Deployment, deployments: Iterable[Deployment]) -> int:
    if not deployment.serving:
        return expected(world, deployment, deployments) if deployment.ready() else 1
    if not deployment.entity.scale_to_zero_enabled:
        return 1
    return 1 if is_awake(world, deployment) else 0


def expected(world: World, deployment: Deployment, deployments: Iterable[Deployment]) -> int:
    """Processes a deployment that is about to serve will need for its share of what the serving ones do now."""
    now = sum(requests(world.loads.get(other.key)) for other in deployments if other.serving)
    return max(1, sizing_of(world, deployment).processes_for(-(-now * deployment.share // 100)))


def is_awake(world: World, deployment: Deployment) -> bool:
    """Whether a deployment that may sleep has a reason not to."""
    load = world.loads.get(deployment.key)
    if requests(load) > 0 or is_called(world, deployment):
        return True
    if any(row.state is ReplicaState.STARTING for row in deployment.rows):
        return True
    last_ms = max(
        load.last_request_at_ms if load is not None else 0,
        world.demands.get(deployment.key, 0),
        max((row.ready_at_ms for row in deployment.rows), default=0),
    )
    return world.now_ms - last_ms < world.rules.idle_s * 1000


def is_called(world: World, deployment: Deployment) -> bool:
    """Whether a request waits that no replica was ready for yet. It is believed for as long as a request may wait."""
    called_at = world.demands.get(deployment.key, 0)
    if world.now_ms - called_at > world.rules.wake_deadline_s * 1000:
        return False
    met_at = max(world.past.met.get(deployment.key, 0), max((row.ready_at_ms for row in deployment.rows), default=0))
    return called_at > met_at
