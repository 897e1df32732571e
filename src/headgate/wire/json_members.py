"""The members of a JSON object as places in its bytes, so that one can be replaced without encoding the others again.

Asked where a client's body goes to a vendor byte for byte but for its `model`. Takes JSON that is known to be valid: it checks nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import orjson

_STRING = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_KEY = re.compile(rb"[\s,]*(" + _STRING + rb")\s*:\s*", re.DOTALL)
_SCALAR = re.compile(_STRING + rb"|[^\s,}\]]+", re.DOTALL)
_NESTED = re.compile(_STRING + rb"|[\[{]|[\]}]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Member:
    """One member: its key with escapes undone, where its key begins, and where its value lies."""

    key: str
    start: int
    value_start: int
    value_end: int


def members(body: bytes) -> list[Member]:
    """All of them in order, duplicates too. `body` is one valid JSON object."""
    found = []
    at = body.index(b"{") + 1
    while (key := _KEY.match(body, at)) is not None:
        at = _value_end(body, key.end())
        found.append(Member(orjson.loads(key[1]), key.start(1), key.end(), at))
    return found


def edited(body: bytes, values: Mapping[str, bytes], removed: Collection[str] = ()) -> bytes:
    """The object with these values (JSON each) in the place of its own, new ones in front, and those `removed` gone. The rest stays byte for byte."""
    old = members(body)
    open_at = body.index(b"{") + 1
    kept = [member for member in old if member.key not in removed]
    present = {member.key for member in kept}
    pieces = [orjson.dumps(key) + b":" + value for key, value in values.items() if key not in present]
    if len(kept) == len(old):
        return body[:open_at] + _joined(pieces, bool(old)) + _replaced(body, values, old)
    pieces += [
        body[member.start : member.value_start] + values.get(member.key, body[member.value_start : member.value_end])
        for member in kept
    ]
    return body[:open_at] + b",".join(pieces) + body[old[-1].value_end :]


def _joined(pieces: list[bytes], more: bool) -> bytes:
    return b",".join(pieces) + (b"," if pieces and more else b"")


def _replaced(body: bytes, values: Mapping[str, bytes], old: list[Member]) -> bytes:
    """What follows the opening brace, values replaced."""
    pieces = []
    at = body.index(b"{") + 1
    for member in old:
        if member.key in values:
            pieces += [body[at : member.value_start], values[member.key]]
            at = member.value_end
    return b"".join([*pieces, body[at:]])


def _value_end(body: bytes, start: int) -> int:
    if body[start : start + 1] not in (b"{", b"["):
        scalar = _SCALAR.match(body, start)
        assert scalar is not None, "valid JSON has a value after a colon"
        return scalar.end()
    depth = 0
    for token in _NESTED.finditer(body, start):
        first = body[token.start()]
        if first in b"[{":
            depth += 1
        elif first in b"]}":
            depth -= 1
            if depth == 0:
                return token.end()
    raise AssertionError("valid JSON closes what it opens")
