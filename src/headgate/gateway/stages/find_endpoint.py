"""Third step: the endpoint's route, from the routing table in memory.

A miss is looked up again after the table has caught up, so that an endpoint that just became READY elsewhere is found.
"""

from __future__ import annotations

from collections.abc import Awaitable

from headgate import errors
from headgate.domain.routing import EndpointRoute, RoutingTable
from headgate.gateway.call import Call
from headgate.gateway.switchboard import Switchboard

UNKNOWN = (
    "The given endpoint does not exist, please retry after checking the specified model and version deployment exists."
)
"""Databricks' own words."""


class FindEndpoint:
    """`call.endpoint` is set from here on, and READY."""

    def __init__(self, switchboard: Switchboard) -> None:
        self._switchboard = switchboard

    def __call__(self, call: Call) -> Awaitable[None] | None:
        route = self._switchboard.table.endpoints.get(call.head.endpoint_name)
        if route is None or route.state != "READY":
            return self._look_again(call)
        call.endpoint = route
        return None

    async def _look_again(self, call: Call) -> None:
        await self._switchboard.catch_up()
        call.endpoint = find(self._switchboard.table, call.head.endpoint_name)


def find(table: RoutingTable, name: str) -> EndpointRoute:
    """The route of an endpoint that takes requests. Raises EndpointNotFound, InvalidState, TemporarilyUnavailable."""
    if table.revision < 0:
        raise errors.TemporarilyUnavailable(
            "The server is starting. Try again in a moment.", headers={"retry-after": "1"}
        )
    route = table.endpoints.get(name)
    if route is None:
        raise errors.EndpointNotFound(UNKNOWN)
    if route.state == "STOPPED":
        raise errors.InvalidState(f"Endpoint {name} is stopped. Start it before sending requests.")
    if route.state != "READY":
        why = f": {route.message}" if route.message else "."
        raise errors.InvalidState(f"Endpoint {name} is not ready to take requests{why} Wait until its state is READY.")
    return route
