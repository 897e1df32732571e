"""Served entities that follow an alias: what they should serve now, and what to say of them. Pure.

An entity created with `entity_version: "@Champion"` serves the version that the alias names, whenever that changes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from headgate.domain.endpoint import Endpoint, EndpointConfig, Outcome, ServedEntity
from headgate.domain.registered_model import ModelName

Target = tuple[str, str]
"""(model's full name in lower case, alias)."""
Targets = Mapping[Target, str]
"""Alias -> the version it names now. An alias that does not exist, or names a version that cannot be served yet, is not in it."""


def target(entity: ServedEntity) -> Target | None:
    """What an entity follows; None for one that serves a version for good."""
    alias = entity.followed_alias
    return (ModelName.parse(entity.entity_name).full, alias) if alias else None


def followed(configs: Iterable[EndpointConfig]) -> frozenset[Target]:
    """Everything that any entity of these configs follows."""
    found = (target(entity) for config in configs for entity in config.served_entities)
    return frozenset(one for one in found if one is not None)


def caught_up(config: EndpointConfig, targets: Targets, now_ms: int) -> EndpointConfig | None:
    """The config with every follower at its alias's version; None when all are there already."""
    entities = tuple(_moved(entity, targets, now_ms) for entity in config.served_entities)
    return None if entities == config.served_entities else dataclasses.replace(config, served_entities=entities)


def lagging(endpoint: Endpoint, targets: Targets, now_ms: int = 0) -> EndpointConfig | None:
    """What to deploy because an alias moved; None when nothing is to do, or not now.

    The newest wish counts, also one that failed: it is not tried again until an alias it follows moves. Not while another one is
    being deployed, and not while the endpoint is stopped: it catches up when it is started.
    """
    wanted = endpoint.wanted
    if wanted is None or wanted.outcome is Outcome.PENDING or endpoint.stopped or endpoint.deleted:
        return None
    return caught_up(wanted.config, targets, now_ms)


def orphaned(entity: ServedEntity, targets: Targets) -> str:
    """What to say of an entity whose alias is gone; empty when there is nothing to say."""
    one = target(entity)
    if one is None or one in targets:
        return ""
    return (
        f"The alias {one[1]} of {one[0]}, which this entity follows, names no version that can be served; "
        f"version {entity.entity_version} goes on serving."
    )


def _moved(entity: ServedEntity, targets: Targets, now_ms: int) -> ServedEntity:
    one = target(entity)
    version = entity.entity_version if one is None else targets.get(one, entity.entity_version)
    if version == entity.entity_version:
        return entity
    return dataclasses.replace(entity, entity_version=version, creation_timestamp=now_ms)
