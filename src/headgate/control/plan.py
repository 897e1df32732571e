"""What to do next, from what is: `world in, actions out`. Pure: waits for nothing, writes nothing, forgets nothing.

Called by the loop, per endpoint so that one that cannot be planned stops no other.
"""

from __future__ import annotations

from headgate.control import actions as act
from headgate.control.planning import deployments, follow, replicas, scaling, update
from headgate.control.world import ENDED, References, World
from headgate.domain.endpoint import Endpoint

KEEP_ENDED_S = 3600.0
"""Ended replicas keep their message and log for at least this long."""
KEEP_LOADS_S = 86400.0
"""What a server that is gone has reported counts for idleness this long."""
KEEP_SERVERS_S = 60.0
"""Rows of servers that are gone; they count for nothing long before."""


def plan(world: World) -> list[act.Action]:
    """Everything at once."""
    return [action for endpoint in world.endpoints for action in of_endpoint(world, endpoint)] + of_machine(world)


def of_machine(world: World) -> list[act.Action]:
    """What belongs to no endpoint."""
    return replicas.strangers(world)


def of_upkeep(world: World, references: References) -> list[act.Action]:
    """What is done now and then. Ended rows stay long enough for an update to count its failed starts."""
    attempts_s = (world.rules.start_attempts + 1) * world.rules.load_deadline_s
    keep_ms = int(max(KEEP_ENDED_S, attempts_s) * 1000)
    prune = act.Prune(
        ended_before_ms=world.now_ms - keep_ms,
        reported_before_ms=world.now_ms - int(KEEP_LOADS_S * 1000),
        seen_before_ms=world.now_ms - int(KEEP_SERVERS_S * 1000),
        live_keys=references.deployment_keys,
    )
    return [prune, act.RetainEnvironments(references.environment_keys)]


def of_endpoint(world: World, endpoint: Endpoint) -> list[act.Action]:
    """In the order in which it must happen: facts first, then the update's outcome, then starts and ends."""
    planned, rows = replicas.settle(world, world.rows.get(endpoint.id, ()))
    if endpoint.deleted and all(row.state in ENDED for row in rows):
        return [*planned, act.ForgetEndpoint(endpoint.id)]
    planned += follow.catch_up(world, endpoint)
    wanted = deployments.of(world, endpoint, rows)
    outcome = update.conclude(world, endpoint, wanted)
    planned += outcome
    if world.observation is None:
        return planned
    if any(isinstance(action, act.ReportFailure) for action in outcome):
        wanted = [deployment for deployment in wanted if deployment.serving]
    for deployment in wanted:
        desired = scaling.desired(world, deployment, wanted)
        planned += replicas.surplus(deployment, desired)
        planned += replicas.lacking(world, endpoint, deployment, desired)
    keys = {deployment.key for deployment in wanted}
    leaving = (replicas.leave(row) for row in rows if row.deployment_key not in keys)
    return planned + [action for action in leaving if action is not None]
