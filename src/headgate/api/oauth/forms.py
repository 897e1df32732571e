"""Forms as OAuth clients and browsers post them: read whole, bounded, each parameter once. A handler's parameter of type `Form`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, Request

from headgate.access.oauth.refusals import invalid_request

_MOST_BYTES = 65536
_MOST_FIELDS = 50


async def _form(request: Request) -> Mapping[str, str]:
    raw = b""
    async for piece in request.stream():
        raw += piece
        if len(raw) > _MOST_BYTES:
            raise invalid_request(f"The form is longer than {_MOST_BYTES} bytes.")
    try:
        pairs = parse_qsl(raw.decode(), keep_blank_values=True, strict_parsing=bool(raw), max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise invalid_request(
            "The body must be a form (application/x-www-form-urlencoded), encoded as UTF-8."
        ) from None
    return once(pairs)


def once(pairs: list[tuple[str, str]]) -> Mapping[str, str]:
    """Parameters by name. Raises Refusal when one comes twice: two readers could take different ones."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise invalid_request("A parameter was given more than once.")
    return found


Form = Annotated[Mapping[str, str], Depends(_form)]
"""What was posted."""
