"""Arguments of a call as one pydantic model, wherever the client put them: path, query, JSON body, or several of these.

MLflow's clients send GET arguments as a query and DELETE arguments as a body; the SDKs do the same calls the other way round. Unknown fields are
ignored. Errors are ours: FastAPI's own would be a 422, which MLflow's clients retry for minutes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pydantic
from fastapi import Request

from headgate import errors

# In JSON, where NUL is escaped and the backslash before it is not itself escaped.
_STRANGE = re.compile(r"[\ud800-\udfff]|(?<!\\)(?:\\\\)*\\u0000")
MAX_BODY_BYTES = 4 * 1024 * 1024
Model = TypeVar("Model", bound=pydantic.BaseModel)


class Arguments(pydantic.BaseModel):
    """Parent of the models that are read."""

    model_config = pydantic.ConfigDict(extra="ignore", coerce_numbers_to_str=True, frozen=True)


def reader(model: type[Model]) -> Callable[[Request], Awaitable[Model]]:
    """A FastAPI dependency that reads `model`. Raises InvalidParameterValue."""

    async def read(request: Request) -> Model:
        return validated(model, _storable({**request.query_params, **await _body(request), **request.path_params}))

    return read


def validated(model: type[Model], found: dict[str, Any]) -> Model:
    """`found` as that model. Raises InvalidParameterValue, naming the first field that is wrong."""
    try:
        return model.model_validate(found)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        reason = "it is missing" if first["type"] == "missing" else first["msg"]
        raise errors.InvalidParameterValue(f"Invalid value for parameter {field!r}: {reason}.") from error


async def _body(request: Request) -> dict[str, Any]:
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > MAX_BODY_BYTES:
            raise errors.InvalidParameterValue(f"The request body is larger than {MAX_BODY_BYTES} bytes.")
        pieces.append(piece)
    text = b"".join(pieces)
    if not text.strip():
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise errors.InvalidParameterValue(f"The request body is not valid JSON: {error}") from error
    if not isinstance(found, dict):
        raise errors.InvalidParameterValue("The request body must be a JSON object.")
    return found


def _storable(found: dict[str, Any]) -> dict[str, Any]:
    """Raises InvalidParameterValue for text that no database takes."""
    text = json.dumps(found, ensure_ascii=False)
    if _STRANGE.search(text):
        raise errors.InvalidParameterValue("The request contains U+0000 or half of a surrogate pair: not valid text.")
    return found
