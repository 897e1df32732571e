"""Where texts lie in a request or an answer, as places in its bytes, and bodies with some of them replaced.

Bodies are walked token by token: a member that is there twice is seen twice, whichever of the two a vendor reads. What is not replaced stays
byte for byte. Takes JSON known to be valid. No step takes long: see `folding`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from headgate.wire import json_members

Path = tuple[str | int, ...]

_TOKEN = re.compile(rb'"[^"\\]{0,255}(?:\\.[^"\\]{0,9}){0,9}"|[\[\]{},:"]|[^\s\[\]{},:"]+|\s{1,9999}', re.DOTALL)
"""A quotation mark alone begins a string too long for this pattern, which would hold the interpreter's lock all along."""

MOST_DEEP = 100
"""Lists and objects inside one another: the path to each text is as long as they are deep."""

SILENT = frozenset(
    (
        "role",
        "type",
        "id",
        "call_id",
        "tool_call_id",
        "index",
        "object",
        "model",
        "status",
        "name",
        "format",
        "detail",
        "signature",
        "encrypted_content",
        "data",
        "url",
        "image_url",
        "file_id",
        "file_data",
        "filename",
        "media_type",
        "cache_control",
        "phase",
    )
)
"""Members whose strings nobody wrote: names, ids, images and files."""


@dataclass(frozen=True, slots=True)
class Text:
    """A string of a body: `body[start:end]` is its JSON, `value` what it says. `number`: it is a number and no string."""

    path: Path
    start: int
    end: int
    value: str
    number: bool = False
    name: bool = False
    """It is the name of a member and no value."""


class TooDeep(ValueError):
    """The body is nested more than MOST_DEEP deep."""


def walk(body: bytes, names: bool = False) -> Iterator[Text]:
    """All strings and numbers that are values, in order; with `names` those of members too, their own name last in the path of each.
    Raises TooDeep."""
    containers: list[list[Any]] = []  # [is an object, key or index, whether a key comes next]
    for start, end in _tokens(body):
        first = body[start]
        if first in b"{[":
            if len(containers) == MOST_DEEP:
                raise TooDeep
            containers.append([first == 0x7B, None if first == 0x7B else 0, first == 0x7B])
        elif first in b"}]":
            containers.pop()
        elif first == 0x2C:
            here = containers[-1]
            here[2] = here[0]
            if not here[0]:
                here[1] += 1
        elif first == 0x22 and containers and containers[-1][2]:
            containers[-1][1:] = [orjson.loads(body[start:end]), False]
            if names:
                yield Text(tuple(one[1] for one in containers), start, end, containers[-1][1], name=True)
        elif first == 0x22:
            yield Text(tuple(one[1] for one in containers), start, end, orjson.loads(body[start:end]))
        elif first in b"-0123456789":
            yield Text(tuple(one[1] for one in containers), start, end, body[start:end].decode(), number=True)


def _tokens(body: bytes) -> Iterator[tuple[int, int]]:
    end = 0
    while True:
        for token in _TOKEN.finditer(body, end):
            start, end = token.span()
            if end - start == 1 and body[start] == 0x22:
                end = _string_end(body, end)
                yield start, end
                break
            if body[start] > 0x20:
                yield start, end
        else:
            return


def _string_end(body: bytes, at: int) -> int:
    """After the quotation mark that ends the string which this place is in: the first with an even number of backslashes before it."""
    while True:
        end = body.index(b'"', at)
        first = end
        while body[first - 1] == 0x5C and first > at:
            first -= 1
        if (end - first) % 2 == 0:
            return end + 1
        at = end + 1


def spoken(path: Path) -> bool:
    """Whether a string there is something said, by the names of the members around it. A tool's arguments may be called anything."""
    for step in path:
        if step in SILENT or step == "arguments":
            return step == "arguments"
    return True


def replaced(body: bytes, replacements: Iterable[tuple[Text, str]]) -> bytes:
    """The body with these texts, in order, saying something else; a number becomes a string."""
    pieces = []
    at = 0
    for text, value in replacements:
        pieces += [body[at : text.start], orjson.dumps(value)]
        at = text.end
    return b"".join([*pieces, body[at:]])


def rewritten(value: str, change: Callable[[str], str]) -> str:
    """A text changed; where it is itself a JSON object or list (a tool's arguments), its names, strings and numbers are, so that it stays one.
    Not where it is one of absurdly many values or depth."""
    if not value.lstrip()[:1] or value.lstrip()[0] not in "{[":
        return change(value)
    try:
        body = value.encode()
        if json_members.has_too_many_values(body):
            return change(value)
        orjson.loads(body)
        changed = [(text, new) for text in walk(body, names=True) if (new := _changed(text, change)) != text.value]
    except (orjson.JSONDecodeError, UnicodeEncodeError, TooDeep):
        return change(value)
    return replaced(body, changed).decode() if changed else value


def _changed(text: Text, change: Callable[[str], str]) -> str:
    """A value is read together with its name, which may say what it is: `{"ssn": 78051120}`."""
    if not text.name and text.path and isinstance(text.path[-1], str):
        named = f"{text.path[-1].replace('_', ' ')}: "
        new = change(named + text.value)
        if new.startswith(named):
            return new[len(named) :]
    return change(text.value)
