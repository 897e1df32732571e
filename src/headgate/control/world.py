"""What control knows at one moment, frozen: the only input of the plan. Pure; built by `observe`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from headgate.domain.endpoint import Endpoint, Generation, Outcome
from headgate.domain.environment import ModelDescription
from headgate.domain.following import Targets
from headgate.domain.replica import Replica, ReplicaState
from headgate.replicas.runtime import Observation

LIVE = frozenset({ReplicaState.STARTING, ReplicaState.READY})
"""States that count as a process of the deployment."""
ENDED = frozenset({ReplicaState.FAILED, ReplicaState.STOPPED})


class Load(Protocol):
    """Requests of one deployment, summed over all servers."""

    @property
    def in_flight(self) -> int: ...
    @property
    def queued(self) -> int: ...
    @property
    def last_request_at_ms(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A model version the registry does not have (any more). `message` is for the endpoint's user."""

    message: str


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings the plan obeys."""

    cores: int
    processes_per_entity: int = 0
    memory_per_concurrency_bytes: int = 0
    start_attempts: int = 3
    load_deadline_s: float = 1800.0
    drain_deadline_s: float = 600.0
    restart_backoff_s: float = 1.0
    restart_backoff_max_s: float = 60.0
    idle_s: float = 1800.0
    wake_deadline_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Past:
    """What only this control process remembers; without it (a restart) everything still works, a little later."""

    peaks: Mapping[str, int] = field(default_factory=dict)
    """Most processes the load of a deployment asked for within the down window."""
    met: Mapping[str, int] = field(default_factory=dict)
    """Newest demand per deployment that found a READY replica, milliseconds since the epoch."""
    ensured: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """When an environment was last asked for: (endpoint id, environment key) -> milliseconds since the epoch."""
    draining_since: Mapping[str, int] = field(default_factory=dict)
    """Replica id -> when it was first seen DRAINING."""


@dataclass(frozen=True, slots=True)
class World:
    """One moment. Mappings that lack a key mean: nothing known."""

    now_ms: int
    rules: Rules
    endpoints: tuple[Endpoint, ...] = ()
    """Those worth a look: not the ones that rest."""
    rows: Mapping[str, tuple[Replica, ...]] = field(default_factory=dict)
    """Endpoint id -> its replicas, oldest first, ended ones included."""
    replicas: Mapping[str, Replica] = field(default_factory=dict)
    """The same by replica id, of all endpoints."""
    observation: Observation | None = None
    """None: the agent is away; nothing is decided about replicas."""
    described: Mapping[tuple[str, int, str], ModelDescription | Unavailable] = field(default_factory=dict)
    """(endpoint id, generation, served entity name) -> its model."""
    locks: Mapping[str, str] = field(default_factory=dict)
    """Deployment key -> the environment an earlier generation of the endpoint was given."""
    demands: Mapping[str, int] = field(default_factory=dict)
    """Deployment key -> when a request last waited for it, milliseconds since the epoch."""
    loads: Mapping[str, Load] = field(default_factory=dict)
    targets: Targets = field(default_factory=dict)
    """What the aliases name that endpoints follow."""
    past: Past = field(default_factory=Past)


@dataclass(frozen=True, slots=True)
class References:
    """What is referred to by any endpoint, asleep or not."""

    endpoint_ids: frozenset[str]
    deployment_keys: frozenset[str]
    environment_keys: frozenset[str]


def pending(endpoint: Endpoint) -> Generation | None:
    """The generation that is to be deployed now, if any."""
    wanted = endpoint.wanted
    if wanted is None or wanted.outcome is not Outcome.PENDING or endpoint.stopped or endpoint.deleted:
        return None
    return wanted


def rests(endpoint: Endpoint) -> bool:
    """Whether nothing is to do for it as long as it has no living replica and nobody asks for one."""
    if endpoint.deleted or pending(endpoint) is not None:
        return False
    if endpoint.stopped or endpoint.serving is None:
        return True
    if endpoint.serving.config.is_external:
        return True
    return all(entity.scale_to_zero_enabled for entity in endpoint.serving.config.served_entities)


def requests(load: Load | None) -> int:
    """Executing and queued."""
    return 0 if load is None else load.in_flight + load.queued
