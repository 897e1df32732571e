"""JSON of the middle language, made from what a client said in another dialect."""

from __future__ import annotations

from typing import Any

import orjson

from headgate.errors import MalformedRequest


def encoded(said: dict[str, Any]) -> bytes:
    """Raises MalformedRequest for what cannot be JSON again (half a surrogate pair, integers beyond 64 bits)."""
    try:
        return orjson.dumps(said)
    except orjson.JSONEncodeError as error:
        raise MalformedRequest(f"The request body is not valid JSON: {error}") from error
