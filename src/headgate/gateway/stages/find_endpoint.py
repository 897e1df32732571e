"""Third step: the endpoint's route, from the routing table in memory, if the caller may query it (CAN_QUERY).

Finding and authorizing are one step because for somebody with nothing on an endpoint it must be as if there were none: the same
answer after the same work. Whatever is not let in at once, unknown names too, is looked up again after the table has caught up, so
that an endpoint that just became READY elsewhere is found (docs/decisions/0088).
"""

from __future__ import annotations

from collections.abc import Awaitable

from headgate import errors
from headgate.access.principals import TOKEN, Principal
from headgate.access.rights import may_query, may_see
from headgate.domain.routing import EndpointRoute, RoutingTable
from headgate.gateway.call import Call
from headgate.gateway.switchboard import Switchboard

UNKNOWN = (
    "The given endpoint does not exist, please retry after checking the specified model and version deployment exists."
)
"""Databricks' own words."""

_NONE = EndpointRoute("", "", "UNKNOWN")
"""In place of a route that is not there: nobody has anything on it."""


class FindEndpoint:
    """`call.endpoint` is set from here on: READY, and the caller may query it."""

    def __init__(self, switchboard: Switchboard) -> None:
        self._switchboard = switchboard

    def __call__(self, call: Call) -> Awaitable[None] | None:
        route = self._switchboard.table.endpoints.get(call.head.endpoint_name, _NONE)
        if not may_query(call.principal, route) or route.state != "READY":
            return self._look_again(call)
        call.endpoint = route
        return None

    async def _look_again(self, call: Call) -> None:
        await self._switchboard.catch_up()
        call.endpoint = find(self._switchboard.table, call.head.endpoint_name, call.principal)


def find(table: RoutingTable, name: str, caller: Principal) -> EndpointRoute:
    """The route of an endpoint that takes the caller's requests.

    Raises EndpointNotFound, PermissionDenied, InvalidState, TemporarilyUnavailable.
    """
    if table.revision < 0:
        raise errors.TemporarilyUnavailable(
            "The server is starting. Try again in a moment.", headers={"retry-after": "1"}
        )
    route = table.endpoints.get(name, _NONE)
    if caller.endpoint_id is not None and caller.endpoint_id != route.id:
        raise errors.PermissionDenied("This token is good for one endpoint only, which is not the one it was sent to.")
    if (caller.endpoint_id is None and not may_see(caller, route)) or route is _NONE:
        raise errors.EndpointNotFound(UNKNOWN)
    if route.route_optimized and caller.credential == TOKEN:
        raise errors.PermissionDenied(
            f"Endpoint {name} is route optimized: it takes OAuth tokens only, and this is a personal access token. Use "
            "`w.serving_endpoints_data_plane.query()` of databricks-sdk with a service principal's client id and secret, or get a "
            "token from /oidc/v1/token."
        )
    if not may_query(caller, route):
        raise errors.PermissionDenied(
            f"User {caller.user_name} does not have CAN QUERY on endpoint {name}. Ask somebody who can manage it."
        )
    if route.state == "STOPPED":
        raise errors.InvalidState(f"Endpoint {name} is stopped. Start it before sending requests.")
    if route.state != "READY":
        why = f": {route.message}" if route.message else "."
        raise errors.InvalidState(f"Endpoint {name} is not ready to take requests{why} Wait until its state is READY.")
    return route
