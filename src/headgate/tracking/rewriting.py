"""What is changed in bodies between clients and the child. Pure.

Clients of `http://…` refuse `dbfs:` artifacts, clients of `databricks` refuse `mlflow-artifacts:`; the child only knows the former. Whom
MLflow would believe about who they are, we name ourselves.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from headgate import errors
from headgate.tracking import locations

# With the quote: only strings that begin with it, which is what an artifact URI in JSON is.
_STORED = f'"{locations.DBFS_ROOT}/'.encode()
_PROXIED = f'"{locations.PROXIED_ROOT}/'.encode()
_USER_TAG = "mlflow.user"
# MLflow reads a field by either name.
_LOCATION = ("artifact_location", "artifactLocation")


def wants_proxied(user_agent: str) -> bool:
    """Whether it is MLflow's client for `http://…`: for `databricks` it calls through databricks-sdk, which names itself."""
    return user_agent.startswith("mlflow-")


async def to_proxied(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A JSON body on its way to a client of `http://…`."""
    async for piece in _replaced(pieces, _STORED, _PROXIED):
        yield piece


def from_proxied(body: bytes) -> bytes:
    """A JSON body from such a client."""
    return body.replace(_PROXIED, _STORED)


async def _replaced(pieces: AsyncIterator[bytes], old: bytes, new: bytes) -> AsyncIterator[bytes]:
    """Also where `old` is cut in two by the end of a piece."""
    held = b""
    async for piece in pieces:
        held = (held + piece).replace(old, new)
        keep = _begun(held, old)
        if len(held) > keep:
            yield held[: len(held) - keep]
            held = held[len(held) - keep :]
    if held:
        yield held


def _begun(text: bytes, wanted: bytes) -> int:
    """Length of the longest end of `text` that `wanted` begins with."""
    return next((size for size in range(min(len(wanted) - 1, len(text)), 0, -1) if text.endswith(wanted[:size])), 0)


_CHECKED = (
    "experiments/create",
    "experiments/set-experiment-tag",
    "runs/create",
    "runs/set-tag",
    "runs/log-batch",
    "logged-models",
    "datasets",
)


def checked_body(path: str, body: bytes, caller: str) -> bytes:
    """The body of a write for the child: names the real caller. Raises BadRequest, InvalidParameterValue.

    `path` is without the prefix of the API, e.g. `runs/create`.
    """
    if not path.startswith(_CHECKED):
        return body
    sent = _decoded(body)
    for name in _LOCATION if path == "experiments/create" else ():
        if sent.get(name):
            locations.of_uri(str(sent[name]))
    return json.dumps(sent).encode() if _name_caller(path, sent, caller) else body


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        # Not orjson: metrics may be NaN or Infinity, which MLflow writes as bare words.
        sent = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise errors.BadRequest(f"The request body is not valid JSON: {error}.") from error
    if not isinstance(sent, dict):
        raise errors.BadRequest("The request needs a body with one JSON object.")
    return sent


def _name_caller(path: str, sent: dict[str, Any], caller: str) -> bool:
    """Puts the caller where MLflow would believe the client. Whether anything was to be changed."""
    changed = False
    if path == "runs/create":
        sent["user_id"] = caller
        changed = True
    if sent.get("key") == _USER_TAG:
        sent["value"] = caller
        changed = True
    tags = sent.get("tags")
    for tag in tags if isinstance(tags, list) else ():
        if isinstance(tag, dict) and tag.get("key") == _USER_TAG:
            tag["value"] = caller
            changed = True
    return changed
