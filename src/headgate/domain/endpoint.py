"""What an endpoint is: the wish (generations of config), and the facts control wrote about it."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ServedEntity:
    """One model version behind an endpoint, with defaults filled in."""

    name: str
    """Name inside the endpoint, e.g. `churn-1`."""
    entity_name: str
    """Registered model, `catalog.schema.model`."""
    entity_version: str
    """Version number as a string; an alias has been resolved."""
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

    def deployment_key(self, endpoint_id: str) -> str:
        """Names the replicas that can serve this entity, 16 hex digits.

        Two generations whose entity needs the same process share replicas, so a traffic shift or a rollback starts none.
        """
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
    auto_capture_config: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """The stored form."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_json(stored: Mapping[str, Any]) -> EndpointConfig:
        """Inverse of `to_json`."""
        return EndpointConfig(
            tuple(ServedEntity(**entity) for entity in stored["served_entities"]),
            tuple(Route(**route) for route in stored["routes"]),
            stored.get("auto_capture_config"),
        )


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
