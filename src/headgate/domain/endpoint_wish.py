"""What a client asks of an endpoint, before rules and defaults: the API reads it from the wire, `endpoint_rules` judges it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headgate.domain.external_model import Written


@dataclass(frozen=True, slots=True)
class EntityWish:
    """One model version as written by the client; None is what the client left out."""

    entity_name: str | None = None
    entity_version: str | None = None
    """A number, or an alias such as `@Champion`."""
    shown_version: str | None = None
    """The number beside an alias in an answer that is sent back."""
    name: str | None = None
    scale_to_zero_enabled: bool | None = None
    workload_type: str | None = None
    workload_size: str | None = None
    min_provisioned_concurrency: int | None = None
    max_provisioned_concurrency: int | None = None
    environment_vars: Mapping[str, str] = field(default_factory=dict)
    instance_profile_arn: str | None = None
    external: Written | None = None
    """A vendor's model; then there is nothing but it and `name`."""


@dataclass(frozen=True, slots=True)
class RouteWish:
    """A share of the traffic."""

    served_entity_name: str
    traffic_percentage: int


@dataclass(frozen=True, slots=True)
class ConfigWish:
    """A whole config."""

    entities: tuple[EntityWish, ...] = ()
    routes: tuple[RouteWish, ...] = ()
    """Empty when the client left traffic to us."""
    auto_capture_config: Mapping[str, Any] | None = None
