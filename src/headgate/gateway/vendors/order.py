"""Which served entities of vendors are asked, and in which order. Pure; asked by `stages.choose` and `stages.call_provider`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from headgate.domain.routing import EndpointRoute, EntityRoute

Ready = Callable[[EntityRoute], bool]


def anybody(_entity: EntityRoute) -> bool:
    """Where nobody knows better."""
    return True


def sharing(endpoint: EndpointRoute, ready: Ready) -> Sequence[EntityRoute]:
    """Those among which a new request is dealt by their shares: the healthy ones, all where none is."""
    entities = endpoint.entities
    if len(entities) < 2 or entities[0].external is None:
        return entities
    return [entity for entity in entities if entity.traffic_percentage and ready(entity)] or entities


def candidates(endpoint: EndpointRoute, chosen: EntityRoute, named: bool, ready: Ready) -> Sequence[EntityRoute]:
    """The chosen one, and with fallback the others in entity order, those without traffic last. What is not healthy comes after all that is.

    `named`: whether the client asked for this one entity.
    """
    if named or not endpoint.gateway.fallback or len(endpoint.entities) == 1:
        return (chosen,)
    others = [entity for entity in endpoint.entities if entity.name != chosen.name]
    others.sort(key=lambda entity: entity.traffic_percentage == 0)
    return sorted([chosen, *others], key=lambda entity: not ready(entity))
