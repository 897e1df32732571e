"""`GET …/models`: the endpoints that a caller may query, as OpenAI's and Anthropic's clients list models. From the routing table in memory; called by `routes`."""

from __future__ import annotations

from typing import Any

import orjson

from headgate.access.principals import Principal
from headgate.access.rights import may_query
from headgate.domain.routing import EndpointRoute
from headgate.gateway.call import Head, Reply, Whole
from headgate.gateway.stages.find_endpoint import find
from headgate.gateway.switchboard import Switchboard

_OWNER = "headgate"
_UNKNOWN_TIME = "1970-01-01T00:00:00Z"
"""What Anthropic says where nobody knows."""


class ModelsList:
    """See the module."""

    def __init__(self, switchboard: Switchboard) -> None:
        self._switchboard = switchboard

    async def reply(self, head: Head, caller: Principal) -> Reply:
        """All of them, or the one that the path names. Raises EndpointNotFound, PermissionDenied, InvalidState."""
        one = _anthropic if "/anthropic/" in head.path else _openai
        if head.endpoint_name:
            shown = one(await self._found(head.endpoint_name, caller))
        else:
            listed = [one(route) for route in self._switchboard.table.endpoints.values() if _serves(caller, route)]
            shown = _page(listed) if one is _anthropic else {"object": "list", "data": listed}
        body = orjson.dumps(shown)
        return Reply(200, [(b"content-type", b"application/json")], Whole(body), len(body))

    async def _found(self, name: str, caller: Principal) -> EndpointRoute:
        route = self._switchboard.table.endpoints.get(name)
        if route is not None and _serves(caller, route):
            return route
        await self._switchboard.catch_up()
        return find(self._switchboard.table, name, caller)


def _serves(caller: Principal, route: EndpointRoute) -> bool:
    return route.state == "READY" and may_query(caller, route)


def _openai(route: EndpointRoute) -> dict[str, Any]:
    return {"id": route.name, "object": "model", "created": 0, "owned_by": _OWNER}


def _anthropic(route: EndpointRoute) -> dict[str, Any]:
    return {"type": "model", "id": route.name, "display_name": route.name, "created_at": _UNKNOWN_TIME}


def _page(listed: list[dict[str, Any]]) -> dict[str, Any]:
    ends = (listed[0]["id"], listed[-1]["id"]) if listed else (None, None)
    return {"data": listed, "has_more": False, "first_id": ends[0], "last_id": ends[1]}
