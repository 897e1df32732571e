"""A vendor out of its mind: its own answer, damaged by chance. Every seed is one damage."""

from __future__ import annotations

import copy
import dataclasses
import random
from collections.abc import Iterator
from typing import Any

import orjson
from tests.fakes.vendor.scene import Reply

_VALUES: list[Any] = [
    None, True, -1, 2**60, 1e300, "", "\x00", "x" * 3000, "stop", [], {}, [None], [[]], {"a": {}}, ["a"] * 50,
    {"error": {"message": "Overloaded."}}, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded."}},
]  # fmt: skip
_BYTES = [
    b"",
    b"\x00",
    b"\xff\xfe",
    b'"',
    b"}",
    b"[",
    b"\n",
    b"\n\n",
    b"data: ",
    b"event: x\n",
    b": ping\n\n",
    b"[DONE]",
    b"\r",
    b"\\u12",
]


def damaged(reply: Reply, seed: int) -> Reply:
    """One to three pieces are changed, missing, doubled, in the wrong order or cut."""
    rng = random.Random(seed)
    pieces = list(reply.pieces)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(pieces)) if pieces else 0
        way = rng.randrange(8)
        if not pieces or way == 0:
            pieces.insert(at, rng.choice([*_BYTES, rng.randbytes(rng.randint(1, 200))]))
        elif way == 1:
            pieces.pop(at)
        elif way == 2:
            pieces.insert(at, pieces[at])
        elif way == 3:
            rng.shuffle(pieces)
        elif way == 4:
            pieces[at] = pieces[at][: rng.randint(0, len(pieces[at]))]
        elif way == 5:
            cut = rng.randint(0, len(pieces[at]))
            pieces[at] = pieces[at][:cut] + rng.choice(_BYTES) + pieces[at][cut + rng.randint(0, 3) :]
        else:
            pieces[at] = _other_values(pieces[at], rng)
    return dataclasses.replace(reply, pieces=tuple(piece for piece in pieces if piece))


def _other_values(piece: bytes, rng: random.Random) -> bytes:
    """Where it holds JSON: with other values at one to four places."""
    start, end = piece.find(b"{"), piece.rfind(b"}") + 1
    try:
        made = orjson.loads(piece[start:end])
    except orjson.JSONDecodeError:
        return piece
    for _ in range(rng.randint(1, 4)):
        places = list(_places(made))
        if not places:
            break
        parent, key = rng.choice(places)
        if isinstance(parent, dict) and rng.random() < 0.3:
            del parent[key]
        else:
            parent[key] = copy.deepcopy(rng.choice(_VALUES))
    return piece[:start] + orjson.dumps(made) + piece[end:]


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in list(items):
        yield node, key
        yield from _places(value)
