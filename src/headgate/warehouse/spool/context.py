"""What clients say of themselves in the bodies of their requests: `client_request_id` and `usage_context`. Looked up off the hot path, by the
loader, or before a body that nobody keeps is let go."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import msgspec
import orjson

from headgate.domain.request_record import RequestRecord

MOST_WORDS = 50
LONGEST_TEXT = 1024
"""So much of it is kept."""
_MARKS = (b'"client_request_id"', b'"usage_context"')
_NOTHING = msgspec.Raw(b"null")


class _Said(msgspec.Struct):
    """Everything else is skipped, never built."""

    client_request_id: msgspec.Raw = _NOTHING
    usage_context: msgspec.Raw = _NOTHING


_said = msgspec.json.Decoder(_Said)


def completed(record: RequestRecord) -> RequestRecord:
    """With what its request's body says, if that is there and says something."""
    body = record.request
    if body is None or record.client_request_id or record.usage_context or not any(mark in body for mark in _MARKS):
        return record
    try:
        said = _said.decode(body)
        named, words = orjson.loads(bytes(said.client_request_id)), orjson.loads(bytes(said.usage_context))
    except (msgspec.DecodeError, orjson.JSONDecodeError, UnicodeDecodeError, RecursionError):
        return record  # it was refused for that, if it was not for a model of ours that takes it
    return dataclasses.replace(
        record,
        client_request_id=None if named is None else _text(named),
        usage_context=_words(words) if isinstance(words, dict) else {},
    )


def _words(said: Mapping[str, object]) -> dict[str, str]:
    return {name[:LONGEST_TEXT]: _text(value) for name, value in list(said.items())[:MOST_WORDS]}


def _text(value: object) -> str:
    return (value if isinstance(value, str) else orjson.dumps(value).decode())[:LONGEST_TEXT]
