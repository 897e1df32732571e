"""`authorization_details` (RFC 9396): the wish for a token that is good for one endpoint only, as Databricks' clients write it. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from headgate.access.oauth.refusals import invalid_details
from headgate.domain.grants import CAN_MANAGE, CAN_QUERY

QUERY = "query_inference_endpoint"
MANAGE = "manage_inference_endpoint"

_ACTIONS = (QUERY, MANAGE)
_PATH = re.compile(r"/serving-endpoints/([0-9a-f]{32})")
_LONGEST = 4096
_HOW = (
    'Send [{"type":"workspace_permission","object_type":"serving-endpoints","object_path":"/serving-endpoints/<endpoint id>",'
    f'"actions":["{QUERY}"]}}]: an endpoint that is route optimized has it in data_plane_info.query_info.authorization_details.'
)


@dataclass(frozen=True, slots=True)
class EndpointWish:
    """One endpoint, and what for."""

    endpoint_id: str
    actions: tuple[str, ...]

    @property
    def level(self) -> str:
        """What the caller must have on the endpoint."""
        return CAN_MANAGE if MANAGE in self.actions else CAN_QUERY

    def details(self) -> list[dict[str, Any]]:
        """The wire form."""
        return _details(self.endpoint_id, self.actions)


def for_query(endpoint_id: str) -> str:
    """What an endpoint tells its clients to send."""
    return json.dumps(_details(endpoint_id, [QUERY]), separators=(",", ":"))


def read(text: str) -> EndpointWish:
    """The wish in the parameter's text. Raises Refusal."""
    try:
        given = json.loads(text) if len(text) <= _LONGEST else None
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, list) or len(given) != 1 or not isinstance(given[0], dict):
        raise invalid_details(f"authorization_details must be a JSON array with one object. {_HOW}")
    [detail] = given
    path = detail.get("object_path")
    found = _PATH.fullmatch(path) if isinstance(path, str) else None
    kind = (detail.get("type"), detail.get("object_type"))
    if kind != ("workspace_permission", "serving-endpoints") or found is None:
        raise invalid_details(f"authorization_details must name one serving endpoint by its id. {_HOW}")
    actions = detail.get("actions")
    if not isinstance(actions, list) or not actions or not all(action in _ACTIONS for action in actions):
        raise invalid_details(f"actions must be some of {', '.join(_ACTIONS)}. {_HOW}")
    return EndpointWish(found[1], tuple(dict.fromkeys(actions)))


def _details(endpoint_id: str, actions: Iterable[str]) -> list[dict[str, Any]]:
    return [
        {
            "type": "workspace_permission",
            "object_type": "serving-endpoints",
            "object_path": f"/serving-endpoints/{endpoint_id}",
            "actions": list(actions),
        }
    ]
