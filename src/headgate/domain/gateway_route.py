"""From what was written of an endpoint to what the gateway is asked for: `ai_gateway`, and its legacy forms in its place. Pure.

Called by the store, once per endpoint and change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headgate.domain import ai_gateway, rate_limits
from headgate.domain.endpoint import EndpointConfig
from headgate.domain.request_record import LEGACY_FORM, InferenceTable
from headgate.domain.routing import PLAIN, GatewayRoute


@dataclass(frozen=True, slots=True)
class Wish:
    """What belongs to the endpoint, not to one of its configs; as it is stored."""

    name: str
    ai_gateway: Mapping[str, Any] | None = None
    rate_limits: Sequence[Mapping[str, Any]] = ()
    tags: Mapping[str, str | None] | None = None
    budget_policy_id: str | None = None


def kind_of(config: EndpointConfig) -> str:
    """One of `ai_gateway.SUPPORTED`. An endpoint that serves nothing yet counts as one of custom models."""
    if config.is_external:
        return ai_gateway.EXTERNAL_MODEL
    if config.served_entities and all(entity.task.startswith("agent/") for entity in config.served_entities):
        return ai_gateway.AGENT
    return ai_gateway.CUSTOM_MODEL


def made(wish: Wish, config: EndpointConfig) -> GatewayRoute:
    """`PLAIN` itself for an endpoint that asks for nothing."""
    gateway = ai_gateway.parse(wish.ai_gateway)
    legacy = rate_limits.parse_legacy(list(wish.rate_limits))
    found = GatewayRoute(
        kind=kind_of(config),
        task=config.task or None,
        rate_limits=ai_gateway.limits_in_force(gateway, legacy),
        guardrails=gateway.guardrails or None,
        fallback=bool(gateway.fallback),
        usage_tracked=bool(gateway.usage_tracking),
        inference_table=_table(gateway, config, wish.name),
        tags={key: value or "" for key, value in (wish.tags or {}).items()},
        budget_policy_id=wish.budget_policy_id,
    )
    return PLAIN if found == PLAIN else found


def _table(gateway: ai_gateway.AiGatewayConfig, config: EndpointConfig, name: str) -> InferenceTable | None:
    """The gateway's, whenever it was written; else the one of `auto_capture_config`."""
    if gateway.inference_table is not None:
        return gateway.inference_table.table(name)
    legacy = ai_gateway.captured(config.auto_capture_config)
    found = None if legacy is None else legacy.table(name)
    return None if found is None else InferenceTable(found.catalog, found.schema, found.prefix, LEGACY_FORM)
