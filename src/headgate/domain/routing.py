"""What a server process needs to serve: an immutable table, swapped whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from headgate.domain.ai_gateway import CUSTOM_MODEL, Guardrails
from headgate.domain.external_model import ExternalModel
from headgate.domain.rate_limits import RateLimit
from headgate.domain.request_record import InferenceTable


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
    id: str = ""
    """`served_entity_id` of records."""
    external: ExternalModel | None = None
    """A vendor's model, secrets sealed or by reference; None: a model of our own, in replicas."""


@dataclass(frozen=True, slots=True)
class GatewayRoute:
    """What is asked of the gateway for one endpoint (`ai_gateway`, also in its legacy forms), and what records say of it."""

    kind: str = CUSTOM_MODEL
    """One of `ai_gateway.SUPPORTED`."""
    task: str | None = None
    """`llm/v1/chat` … of external models."""
    rate_limits: tuple[RateLimit, ...] = ()
    guardrails: Guardrails | None = None
    fallback: bool = False
    usage_tracked: bool = False
    inference_table: InferenceTable | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    budget_policy_id: str | None = None


PLAIN = GatewayRoute()
"""Of an endpoint that asks for nothing."""


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
    gateway: GatewayRoute = PLAIN


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """All endpoints, by name."""

    revision: int = -1
    endpoints: Mapping[str, EndpointRoute] = field(default_factory=dict)
