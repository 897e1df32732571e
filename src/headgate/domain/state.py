"""The state of an endpoint as the API shows it: derived from the wish and the facts, never stored."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from headgate.domain.endpoint import Endpoint, Generation, Outcome, ServedEntity
from headgate.domain.replica import Replica, ReplicaState

CREATING = "Creating resources for served entity."
SCALED_TO_ZERO = "Scaled to zero"


@dataclass(frozen=True, slots=True)
class EndpointState:
    """`state` on the wire."""

    ready: str
    config_update: str
    suspend: str


@dataclass(frozen=True, slots=True)
class EntityState:
    """A served entity's `state` on the wire."""

    deployment: str
    deployment_state_message: str


def is_arriving(endpoint: Endpoint, slowest_revision: int | None) -> bool:
    """Whether the wanted generation serves, but not yet everywhere.

    `slowest_revision` is the oldest routing table that a server process uses; None when none was seen lately.
    """
    wanted = endpoint.wanted
    if slowest_revision is None or wanted is None or endpoint.stopped:
        return False
    return wanted.outcome is Outcome.ACTIVE and wanted.revision > slowest_revision


def before_arrival(endpoint: Endpoint, served_before: Generation | None) -> Endpoint:
    """An arriving endpoint as it is shown meanwhile: its update goes on, and what the slowest server has still serves."""
    assert endpoint.wanted is not None
    return replace(endpoint, wanted=replace(endpoint.wanted, outcome=Outcome.PENDING), serving=served_before)


def of_endpoint(endpoint: Endpoint) -> EndpointState:
    """Readiness and what goes on."""
    suspend = "STOPPED" if endpoint.stopped else "NOT_SUSPENDED"
    ready = "READY" if endpoint.serving is not None and not endpoint.stopped else "NOT_READY"
    if endpoint.wanted is None or endpoint.wanted.outcome is Outcome.ACTIVE or endpoint.stopped:
        return EndpointState(ready, "NOT_UPDATING", suspend)
    updates = {
        Outcome.PENDING: "IN_PROGRESS",
        Outcome.FAILED: "UPDATE_FAILED",
        Outcome.CANCELED: "UPDATE_CANCELED",
    }
    return EndpointState(ready, updates[endpoint.wanted.outcome], suspend)


def of_entity(
    endpoint: Endpoint, generation: Generation, entity: ServedEntity, replicas: Iterable[Replica]
) -> EntityState:
    """How one entity of a generation fares. `replicas` are the endpoint's, oldest first."""
    if entity.external_model is not None:
        return _external(endpoint, generation, entity)
    own = [r for r in replicas if r.deployment_key == entity.deployment_key(endpoint.id)]
    if generation.outcome is Outcome.FAILED:
        return _failed(generation, entity)
    if generation.outcome is Outcome.CANCELED:
        return EntityState("DEPLOYMENT_ABORTED", "Served model creation aborted because the update was canceled.")
    if generation.outcome is Outcome.PENDING:
        ready = any(r.state is ReplicaState.READY for r in own)
        return EntityState(*("DEPLOYMENT_READY", "") if ready else ("DEPLOYMENT_CREATING", CREATING))
    if endpoint.stopped:
        return EntityState("DEPLOYMENT_READY", "Stopped")
    if any(r.state is ReplicaState.READY for r in own):
        return EntityState("DEPLOYMENT_READY", "")
    if own and own[-1].state is ReplicaState.FAILED:
        return EntityState("DEPLOYMENT_RECOVERING", own[-1].message)
    if any(r.state is ReplicaState.STARTING for r in own) or not entity.scale_to_zero_enabled:
        return EntityState("DEPLOYMENT_RECOVERING", "Starting.")
    return EntityState("DEPLOYMENT_READY", SCALED_TO_ZERO)


def _external(endpoint: Endpoint, generation: Generation, entity: ServedEntity) -> EntityState:
    """A vendor's model: nothing of it runs here, so there is nothing to wait for or to recover."""
    if generation.outcome is Outcome.FAILED:
        return _failed(generation, entity)
    if generation.outcome is Outcome.CANCELED:
        return EntityState("DEPLOYMENT_ABORTED", "Served model creation aborted because the update was canceled.")
    if generation.outcome is Outcome.PENDING:
        return EntityState("DEPLOYMENT_CREATING", CREATING)
    return EntityState("DEPLOYMENT_READY", "Stopped" if endpoint.stopped else "")


def _failed(generation: Generation, entity: ServedEntity) -> EntityState:
    if not generation.entity_messages:
        return EntityState("DEPLOYMENT_FAILED", generation.message)
    message = generation.entity_messages.get(entity.name)
    if message is not None:
        return EntityState("DEPLOYMENT_FAILED", message)
    return EntityState(
        "DEPLOYMENT_ABORTED",
        "Served model creation aborted because another served entity of the update failed.",
    )
