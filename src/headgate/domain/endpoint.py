"""What an endpoint is: the wish (generations of config), and the facts control wrote about it."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headgate.domain.external_model import ExternalModel


@dataclass(frozen=True, slots=True)
class ServedEntity:
    """One model version behind an endpoint, or a vendor's model, with defaults filled in."""

    name: str
    """Name inside the endpoint, e.g. `churn-1`."""
    entity_name: str
    """Registered model, `catalog.schema.model`; empty for an external model."""
    entity_version: str
    """Version number as a string; an alias has been resolved. Empty for an external model."""
    requested_version: str
    """What the client wrote: a version, or an alias such as `@Champion`, which it then follows."""
    scale_to_zero_enabled: bool = False
    workload_type: str = "CPU"
    workload_size: str | None = None
    min_provisioned_concurrency: int | None = None
    max_provisioned_concurrency: int | None = None
    environment_vars: Mapping[str, str] = field(default_factory=dict)
    """As the client wrote them: a secret is `{{secrets/<scope>/<key>}}`, never its value."""
    secret_versions: Mapping[str, str] = field(default_factory=dict)
    """Of the secrets those refer to, when this was written: `<scope id>/<key>` -> version. A later one asks for new processes."""
    instance_profile_arn: str | None = None
    creator: str = ""
    creation_timestamp: int = 0
    """Milliseconds since the epoch."""
    task: str = ""
    """What the model says of itself when this is written: `llm/v1/chat`, `agent/v1/responses` …; empty when nothing."""
    external_model: ExternalModel | None = None
    """A vendor's model, its secrets sealed or by reference; then nothing runs here, and what sizes processes means nothing."""

    def id(self, endpoint_id: str) -> str:
        """Its `served_entity_id` in records, 32 hex digits: the same as long as the same model is served under the same name."""
        identity = [endpoint_id, self.name, self.entity_name, self.entity_version]
        if self.external_model is not None:
            identity += [self.external_model.provider, self.external_model.name, self.external_model.task]
        return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32]

    def external(self, endpoint_id: str) -> ExternalModel | None:
        """The vendor's model as whoever opens its secrets needs it: with where they belong."""
        if self.external_model is None:
            return None
        place = sealed_for(endpoint_id, self.name)
        return dataclasses.replace(self.external_model, place=place, checked=tuple(sorted(self.secret_versions)))

    def deployment_key(self, endpoint_id: str) -> str:
        """Names the replicas that can serve this entity, 16 hex digits; of an external model: everything that is asked of the vendor.

        Two generations whose entity needs the same process share replicas, so a traffic shift or a rollback starts none.
        """
        if self.external_model is not None:
            asked = [endpoint_id, self.name, dataclasses.asdict(self.external_model), sorted(self.secret_versions)]
            return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]
        identity = [
            endpoint_id, self.name, self.entity_name, self.entity_version, self.workload_type,
            *self.concurrency(), sorted(self.environment_vars.items()), self.instance_profile_arn,
        ]  # fmt: skip
        if self.secret_versions:
            identity.append(sorted(self.secret_versions.items()))
        return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]

    @property
    def followed_alias(self) -> str:
        """Without its `@`; empty when it serves the version it was created with."""
        return self.requested_version[1:] if self.requested_version.startswith("@") else ""

    def concurrency(self) -> tuple[int, int]:
        """Least and most requests executing at once."""
        if self.max_provisioned_concurrency is not None:
            low = self.min_provisioned_concurrency
            return (self.max_provisioned_concurrency if low is None else low), self.max_provisioned_concurrency
        return WORKLOAD_SIZES[self.workload_size or "Small"]


def sealed_for(endpoint_id: str, entity_name: str) -> str:
    """Where secrets of an external model belong, so that they open nowhere else; `:<field>` follows."""
    return f"external-model:{endpoint_id}:{entity_name}"


WORKLOAD_SIZES: Mapping[str, tuple[int, int]] = {"Small": (4, 4), "Medium": (8, 16), "Large": (16, 64)}
"""Provisioned concurrency of each workload size: least, most."""


@dataclass(frozen=True, slots=True)
class Route:
    """A share of the traffic, in whole per cent."""

    served_entity_name: str
    traffic_percentage: int


@dataclass(frozen=True, slots=True)
class EndpointConfig:
    """What one generation serves."""

    served_entities: tuple[ServedEntity, ...] = ()
    routes: tuple[Route, ...] = ()
    """An entity without one gets no traffic, but serves as a fallback."""
    auto_capture_config: Mapping[str, Any] | None = None

    @property
    def is_external(self) -> bool:
        """Whether vendors run its models: all or none of them."""
        return any(entity.external_model is not None for entity in self.served_entities)

    @property
    def task(self) -> str:
        """What clients talk to it as; empty when its models say nothing, or not the same."""
        tasks = {entity.task for entity in self.served_entities}
        return tasks.pop() if len(tasks) == 1 else ""

    def to_json(self) -> dict[str, Any]:
        """The stored form."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_json(stored: Mapping[str, Any]) -> EndpointConfig:
        """Inverse of `to_json`."""
        return EndpointConfig(
            tuple(_entity(entity) for entity in stored["served_entities"]),
            tuple(Route(**route) for route in stored["routes"]),
            stored.get("auto_capture_config"),
        )


def _entity(stored: Mapping[str, Any]) -> ServedEntity:
    external = stored.get("external_model")
    if external is None:
        return ServedEntity(**stored)
    return ServedEntity(**{**stored, "external_model": ExternalModel(**{**external, "checked": ()})})


class Outcome(str, enum.Enum):
    """What became of a generation."""

    PENDING = "PENDING"
    """Being deployed; the one before it serves."""
    ACTIVE = "ACTIVE"
    """Has served, or serves."""
    FAILED = "FAILED"
    CANCELED = "CANCELED"


@dataclass(frozen=True, slots=True)
class Generation:
    """One config version of an endpoint."""

    number: int
    """The API's `config_version`, from 1."""
    config: EndpointConfig
    outcome: Outcome
    created_at_ms: int
    message: str = ""
    """Why it failed."""
    entity_messages: Mapping[str, str] = field(default_factory=dict)
    """Per served entity: why it failed (name -> text)."""
    locks: Mapping[str, str] = field(default_factory=dict)
    """Per served entity: the exact environment it was given (name -> pinned requirements), so that a rollback is the same."""
    revision: int = 0
    """The first routing table that serves it; whoever has an older one still serves what was before. 0: none does yet."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint with its generations of interest.

    Its state as the API shows it is derived (see `domain.state`), never stored.
    """

    id: str
    """32 hex digits."""
    name: str
    creator: str
    created_at_ms: int
    updated_at_ms: int
    wanted: Generation | None = None
    """The newest generation. None: created without config."""
    serving: Generation | None = None
    """The generation requests go to. None: never deployed."""
    stopped: bool = False
    """The wish of `config:stop`."""
    deleted: bool = False
    """The wish of DELETE; control cleans up, then the row goes."""
    description: str = ""
    tags: Mapping[str, str | None] = field(default_factory=dict)
    email_notifications: Mapping[str, Any] | None = None
    telemetry_config: Mapping[str, Any] | None = None
    route_optimized: bool = False
    budget_policy_id: str | None = None
    ai_gateway: Mapping[str, Any] | None = None
    """As `ai_gateway.AiGatewayConfig.to_json` made it; None: never written, or cleared."""
    rate_limits: tuple[Mapping[str, Any], ...] = ()
    """Of the deprecated API, as `RateLimit.to_json` made them."""
