"""What a caller may do with serving endpoints. Asked by the REST families (through the store) and by the gateway (in memory).

Whoever has nothing on an endpoint is not told that there is one: for them it is *hidden*, and every answer, and every step
up to it, is that for a name nobody has (docs/decisions/0088).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from headgate import errors
from headgate.access.principals import TOKEN, Principal
from headgate.domain.grants import CAN_MANAGE, CAN_QUERY, CAN_VIEW, ENDPOINT, highest_level, includes, most
from headgate.domain.routing import EndpointRoute
from headgate.store.grants import Grants

_ABILITIES = {CAN_VIEW: "View", CAN_QUERY: "Query", CAN_MANAGE: "Manage"}


class Rights:
    """Reads grants. Thread-safe; every method is one query, none for an administrator."""

    def __init__(self, grants: Grants) -> None:
        self._grants = grants

    def endpoint_level(self, caller: Principal, endpoint_id: str) -> str | None:
        """The most the caller has on an endpoint: one of `domain.grants.LEVELS`; None: it is hidden from them."""
        if caller.admin:
            return CAN_MANAGE
        return most(self._grants.on_endpoint(endpoint_id, caller.keys))

    def endpoint_level_by_name(self, caller: Principal, name: str) -> str | None:
        """The same by name. None takes the same one query whether there is no such endpoint or it is hidden."""
        if caller.admin:
            return CAN_MANAGE
        return most(self._grants.on_endpoint_named(name, caller.keys))

    def endpoint_levels(self, caller: Principal, endpoint_ids: Iterable[str]) -> Mapping[str, str]:
        """Endpoint id -> level, of those that are not hidden from the caller."""
        if caller.admin:
            return dict.fromkeys(endpoint_ids, CAN_MANAGE)
        held = self._grants.of_kind(ENDPOINT)
        levels = ((one, highest_level(held.get(one, {}), caller.keys)) for one in endpoint_ids)
        return {one: level for one, level in levels if level is not None}


def require(level: str | None, wanted: str, name: str) -> str:
    """The level, of somebody with at least `wanted` on the endpoint `name`. Raises ResourceDoesNotExist, PermissionDenied."""
    if level is None:
        raise errors.Hidden(f"Serving endpoint with name {name} not found")
    if not includes(level, wanted):
        raise errors.PermissionDenied(
            f"User does not have permission '{_ABILITIES[wanted]}' on Endpoint {name}. It takes {wanted}, "
            "which somebody with CAN_MANAGE there can grant."
        )
    return level


def may_see(caller: Principal, endpoint: EndpointRoute) -> bool:
    """Whether the caller may know that the endpoint exists."""
    return caller.admin or not endpoint.viewers.isdisjoint(caller.keys)


def may_query(caller: Principal, endpoint: EndpointRoute) -> bool:
    """Whether the caller may send it requests. On the path of every request."""
    if caller.endpoint_id is not None and caller.endpoint_id != endpoint.id:
        return False
    if endpoint.route_optimized and caller.credential == TOKEN:
        return False
    return caller.admin or not endpoint.queriers.isdisjoint(caller.keys)
