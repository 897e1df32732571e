"""Rules of a whole endpoint: its name, its config, what may be changed when. Pure; the API asks before it writes a wish."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headgate.domain import ai_gateway, external_model, served_entities, traffic
from headgate.domain.endpoint import Endpoint, EndpointConfig, Outcome, ServedEntity
from headgate.domain.endpoint_wish import ConfigWish, EntityWish
from headgate.errors import InvalidParameterValue, InvalidState, ResourceConflict

MOST_ENTITIES = 15
RESERVED_PREFIX = "databricks-"

_ID = re.compile(r"[0-9a-f]{32}")
_PAYLOADS = "TELEMETRY_FEATURE_INFERENCE_TABLE"


@dataclass(frozen=True, slots=True)
class Author:
    """Who wishes, and when."""

    user_name: str
    now_ms: int


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a wished entity comes to in the registry; nothing of an external model."""

    version: str = ""
    task: str = ""
    """What the model says of itself: `llm/v1/chat`, `agent/v1/responses` …"""


def check_name(name: str) -> None:
    """Whether a new endpoint may be called so. Raises InvalidParameterValue."""
    if not is_name(name):
        raise InvalidParameterValue(
            f"{name!r} is not a valid endpoint name: use 1 to 63 letters, digits, dashes and underscores."
        )
    if name.startswith(RESERVED_PREFIX):
        raise InvalidParameterValue(
            f"The endpoint name {name} begins with the reserved prefix {RESERVED_PREFIX!r}; choose another one."
        )


def is_name(name: str) -> bool:
    """Whether an endpoint can be called so at all."""
    return served_entities.NAME.fullmatch(name) is not None


def is_id(text: str) -> bool:
    """Whether it looks like an endpoint's id. A name may look so, too."""
    return _ID.fullmatch(text) is not None


def check_config(wish: ConfigWish, *, gpu_available: bool) -> None:
    """Everything that can be said of a config without the registry. Raises InvalidParameterValue."""
    if not wish.entities:
        raise InvalidParameterValue(
            "The config has no served_entities: give at least one, with entity_name and entity_version, or with external_model."
        )
    if len(wish.entities) > MOST_ENTITIES:
        raise InvalidParameterValue(f"served_models cannot contain more than {MOST_ENTITIES} elements")
    external_model.check_together([entity.external.model if entity.external else None for entity in wish.entities])
    for number, entity in enumerate(wish.entities):
        try:
            served_entities.check(entity, gpu_available=gpu_available)
        except InvalidParameterValue as error:
            raise InvalidParameterValue(f"served_entities[{number}]: {error.message}") from error


def config(wish: ConfigWish, found: Sequence[Resolved], author: Author) -> EndpointConfig:
    """A checked wish with everything filled in. `found`: what each entity comes to. Raises InvalidParameterValue."""
    entities = tuple(_served(entity, one, author) for entity, one in zip(wish.entities, found, strict=True))
    names = [entity.name for entity in entities]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InvalidParameterValue(
            f"Cannot create 2+ served entities with the same name {twice[0]!r}; give each a `name` of its own."
        )
    return EndpointConfig(entities, traffic.split(wish.routes, names), wish.auto_capture_config)


def _served(wish: EntityWish, found: Resolved, author: Author) -> ServedEntity:
    entity_name, version = wish.entity_name or "", found.version
    if wish.external is not None:
        model = wish.external.model
        return ServedEntity(
            name=wish.name or external_model.default_name(model.name),
            entity_name="",
            entity_version="",
            requested_version="",
            creator=author.user_name,
            creation_timestamp=author.now_ms,
            task=model.task,
            external_model=model,
        )
    size, low, high = served_entities.sizing(wish)
    return ServedEntity(
        name=wish.name or served_entities.default_name(entity_name, wish.entity_version or version),
        entity_name=entity_name,
        entity_version=version,
        requested_version=wish.entity_version or version,
        scale_to_zero_enabled=bool(wish.scale_to_zero_enabled),
        workload_type=wish.workload_type or "CPU",
        workload_size=size,
        min_provisioned_concurrency=low,
        max_provisioned_concurrency=high,
        environment_vars=dict(wish.environment_vars),
        instance_profile_arn=wish.instance_profile_arn,
        creator=author.user_name,
        creation_timestamp=author.now_ms,
        task=found.task,
    )


def check_kind(config: EndpointConfig, before: Endpoint) -> None:
    """Raises InvalidParameterValue when an update would turn an endpoint of external models into another kind, or back."""
    last = before.wanted or before.serving
    if last is not None:
        external_model.check_same_kind(config.is_external, last.config.is_external)


def check_capture(config: EndpointConfig, before: Endpoint) -> None:
    """Whether `auto_capture_config` may follow what was. Raises InvalidParameterValue: its table cannot be exchanged or taken up again."""
    last = before.wanted or before.serving
    old = None if last is None else ai_gateway.captured(last.config.auto_capture_config)
    new = ai_gateway.captured(config.auto_capture_config)
    if old is None or new is None or not new.enabled:
        return
    if not old.enabled:
        raise InvalidParameterValue(
            "auto_capture_config was disabled and cannot be enabled again. Use inference_table_config of ai_gateway, which can."
        )
    for name in ("catalog_name", "schema_name", "table_name_prefix"):
        if getattr(old, name) != getattr(new, name):
            raise InvalidParameterValue(
                f"auto_capture_config.{name} cannot be changed: it is {getattr(old, name)!r}. To keep requests elsewhere, disable it "
                "and use inference_table_config of ai_gateway."
            )


def is_updating(endpoint: Endpoint) -> bool:
    """Whether a generation is being deployed."""
    return endpoint.wanted is not None and endpoint.wanted.outcome is Outcome.PENDING and not endpoint.stopped


def check_stop(endpoint: Endpoint) -> None:
    """Raises InvalidState when there is nothing to stop. (The store refuses it during an update.)"""
    if endpoint.wanted is None or (endpoint.serving is None and not is_updating(endpoint)):
        raise InvalidState(
            f"Endpoint {endpoint.name} cannot be stopped: nothing of it was ever deployed. Update its config, or delete it."
        )


def config_to_start(endpoint: Endpoint) -> EndpointConfig:
    """What `config:start` deploys again. Raises InvalidState unless the endpoint is stopped."""
    last = endpoint.serving or endpoint.wanted
    if not endpoint.stopped or last is None:
        raise InvalidState(f"Endpoint {endpoint.name} cannot be started: it is not stopped.")
    return last.config


def check_telemetry_change(endpoint: Endpoint) -> None:
    """Raises InvalidParameterValue for an endpoint that serves nothing, ResourceConflict during an update."""
    if endpoint.wanted is None:
        raise InvalidParameterValue(
            "Telemetry configuration is not supported for endpoint type 'NO_CONFIG'. "
            "This API only supports endpoints with custom served models."
        )
    if endpoint.wanted.config.is_external:
        raise InvalidParameterValue(
            "Telemetry configuration is not supported for endpoint type 'EXTERNAL_MODELS'. "
            "This API only supports endpoints with custom served models."
        )
    if is_updating(endpoint):
        raise ResourceConflict(
            f"Endpoint {endpoint.name} is currently updating. "
            "Wait for the update to complete before updating its telemetry configuration."
        )


def telemetry(wish: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The telemetry config to keep: table names are write-only, but name the payload table. None removes it."""
    if wish is None:
        return None
    kept = {key: value for key, value in wish.items() if key != "table_names" and value is not None}
    logs_table = (wish.get("table_names") or {}).get("logs_table")
    features = kept.get("enabled_telemetry_features")
    if logs_table and (not features or _PAYLOADS in features):
        kept["inference_table_config"] = {
            "name": f"{logs_table}_payload",
            **(kept.get("inference_table_config") or {}),
        }
    return kept
