"""Whether an alias that an endpoint follows has moved. Pure; part of the plan."""

from __future__ import annotations

from headgate.control import actions as act
from headgate.control.world import World
from headgate.domain import following
from headgate.domain.endpoint import Endpoint


def catch_up(world: World, endpoint: Endpoint) -> list[act.Action]:
    """Follow, or nothing to do now."""
    config = following.lagging(endpoint, world.targets, world.now_ms)
    if config is None or endpoint.wanted is None:
        return []
    before = endpoint.wanted.config.served_entities
    pairs = zip(before, config.served_entities, strict=True)
    moved = tuple(new.name for old, new in pairs if old.entity_version != new.entity_version)
    return [act.Follow(endpoint.id, endpoint.wanted.number + 1, config, moved)]
