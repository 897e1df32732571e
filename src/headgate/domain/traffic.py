"""Rules of a traffic split: whole per cent, over entities that exist, 100 together. Pure; asked by `endpoint_rules`."""

from __future__ import annotations

from collections.abc import Sequence

from headgate.domain.endpoint import Route
from headgate.domain.endpoint_wish import RouteWish
from headgate.errors import InvalidParameterValue


def split(routes: Sequence[RouteWish], entity_names: Sequence[str]) -> tuple[Route, ...]:
    """The routes of a config; everything to the only entity when none are given. Raises InvalidParameterValue.

    An entity without a route gets no traffic but can be called by its name.
    """
    if not routes:
        return _whole(entity_names)
    for route in routes:
        _check(route, entity_names)
    targets = [route.served_entity_name for route in routes]
    twice = sorted({name for name in targets if targets.count(name) > 1})
    if twice:
        raise InvalidParameterValue(
            f"traffic_config has more than one route to {twice[0]}; give each served entity one."
        )
    total = sum(route.traffic_percentage for route in routes)
    if total != 100:
        raise InvalidParameterValue(f"The traffic percentages of all routes must sum to 100, but sum to {total}.")
    return tuple(Route(route.served_entity_name, route.traffic_percentage) for route in routes)


def _whole(entity_names: Sequence[str]) -> tuple[Route, ...]:
    if len(entity_names) == 1:
        return (Route(entity_names[0], 100),)
    raise InvalidParameterValue(
        f"traffic_config is required with more than one served entity: give a route for each of {', '.join(entity_names)}."
    )


def _check(route: RouteWish, entity_names: Sequence[str]) -> None:
    if route.served_entity_name not in entity_names:
        raise InvalidParameterValue(
            f"traffic_config routes to {route.served_entity_name!r}, which is not a served entity of this config; "
            f"there are: {', '.join(entity_names)}."
        )
    if not 0 <= route.traffic_percentage <= 100:
        raise InvalidParameterValue(
            f"traffic_percentage of {route.served_entity_name} must be a whole number from 0 to 100, not {route.traffic_percentage}."
        )
