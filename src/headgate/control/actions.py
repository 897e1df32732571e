"""Everything control can do, as data. `plan` makes them, `apply` does them, one small function each.

An action is safe to repeat and safe to lose: whatever it did not achieve, the next lap plans again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from headgate.domain.endpoint import EndpointConfig
from headgate.domain.environment import EnvironmentSpec
from headgate.replicas.runtime import ReplicaSpec


@dataclass(frozen=True, slots=True)
class EnsureEnvironment:
    """Have the agent build an environment (again, when it had failed)."""

    endpoint_id: str
    spec: EnvironmentSpec


@dataclass(frozen=True, slots=True)
class AddReplica:
    """Record a new replica, then start it. `spec.id` is empty: it is named when the row is written."""

    spec: ReplicaSpec


@dataclass(frozen=True, slots=True)
class RecordFailedStart:
    """A replica that cannot even be tried (no environment, no model): a failed row carries the reason to whoever asks."""

    spec: ReplicaSpec
    message: str


@dataclass(frozen=True, slots=True)
class StartReplica:
    """Start a replica whose row exists but which the agent does not know."""

    spec: ReplicaSpec


@dataclass(frozen=True, slots=True)
class MarkReady:
    """STARTING -> READY: into the routing table."""

    replica_id: str
    address: str
    slots: int
    how: str
    log_path: str


@dataclass(frozen=True, slots=True)
class MarkFailed:
    """-> FAILED: out of the routing table, kept for its message; the agent forgets it."""

    replica_id: str
    message: str
    how: str = ""
    log_path: str = ""


@dataclass(frozen=True, slots=True)
class DrainReplica:
    """READY -> DRAINING: out of the routing table first, then the agent lets it finish."""

    replica_id: str


@dataclass(frozen=True, slots=True)
class StopReplica:
    """The agent ends a replica, or forgets one that is over; its row, if `record`, becomes STOPPED."""

    replica_id: str
    drain: bool = False
    record: bool = True


@dataclass(frozen=True, slots=True)
class PointTraffic:
    """The wanted generation becomes the serving one, with the environments it was given."""

    endpoint_id: str
    generation: int
    locks: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ReportFailure:
    """The wanted generation has failed; what served goes on."""

    endpoint_id: str
    generation: int
    message: str
    entity_messages: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Follow:
    """An alias moved: its followers' new versions become the wish, unless that may not be."""

    endpoint_id: str
    generation: int
    """The number that the new one gets."""
    config: EndpointConfig
    moved: tuple[str, ...]
    """Names of the entities with another version than before."""


@dataclass(frozen=True, slots=True)
class ForgetEndpoint:
    """Nothing of a deleted endpoint runs any more: its rows go."""

    endpoint_id: str


@dataclass(frozen=True, slots=True)
class RetainEnvironments:
    """Tells the agent which environments are referred to."""

    keys: frozenset[str]


@dataclass(frozen=True, slots=True)
class Prune:
    """Forgets ended replicas, servers that are gone, and loads and demands of deployments that are no more."""

    ended_before_ms: int
    reported_before_ms: int
    seen_before_ms: int
    live_keys: frozenset[str]


Action = (
    EnsureEnvironment
    | AddReplica
    | RecordFailedStart
    | StartReplica
    | MarkReady
    | MarkFailed
    | DrainReplica
    | StopReplica
    | PointTraffic
    | ReportFailure
    | Follow
    | ForgetEndpoint
    | RetainEnvironments
    | Prune
)
