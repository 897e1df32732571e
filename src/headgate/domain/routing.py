"""What a server process needs to serve: an immutable table, swapped whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ReplicaAddress:
    """A replica that takes requests."""

    id: str
    address: str
    """`unix:/path` or `host:port`."""
    slots: int


@dataclass(frozen=True, slots=True)
class EntityRoute:
    """A served entity of the serving generation."""

    name: str
    entity_name: str
    entity_version: str
    deployment_key: str
    traffic_percentage: int
    max_concurrency: int
    replicas: tuple[ReplicaAddress, ...] = ()
    """Empty: asleep, starting or crashing."""
    problem: str = ""
    """Why there are no replicas although there should be (crash loop), for the 504's message."""


@dataclass(frozen=True, slots=True)
class EndpointRoute:
    """An endpoint as requests see it."""

    id: str
    name: str
    state: str
    """`READY`, `NOT_READY` (never deployed) or `STOPPED`."""
    entities: tuple[EntityRoute, ...] = ()
    message: str = ""
    """Why it is NOT_READY."""
    route_optimized: bool = False
    """Takes requests with OAuth tokens only, on its own path."""
    queriers: frozenset[str] = frozenset()
    """Ids of users, groups and service principals with CAN_QUERY or more."""
    viewers: frozenset[str] = frozenset()
    """Those with CAN_VIEW or more: they may know that it exists."""


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """All endpoints, by name."""

    revision: int = -1
    endpoints: Mapping[str, EndpointRoute] = field(default_factory=dict)
