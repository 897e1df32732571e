"""Hypothesis strategies: JSON as people and libraries write it, with odd spaces, escapes, number forms and duplicate keys."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

_SPACE = st.sampled_from(["", "", "", " ", "\n", "\t ", " \r\n"])
_NUMBERS = st.sampled_from(["0", "-1", "1.50", "1e5", "1E-7", "-0.0", "12345678901234567890", "1.0"])
KEYS = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "usage_context",
    "x",
    "n",
    "",
    "mod",
    'mo"del',
    "tools",
    "é\\",
    "🦜",
]


@st.composite
def strings(draw: st.DrawFn, text: st.SearchStrategy[str]) -> str:
    """One of these as a JSON string, some characters escaped that need not be."""
    pieces = []
    for character in draw(text):
        if draw(st.integers(0, 5)) == 0 and ord(character) < 0x10000:
            pieces.append(f"\\u{ord(character):04x}")
        else:
            pieces.append(json.dumps(character, ensure_ascii=draw(st.booleans()))[1:-1])
    return '"' + "".join(pieces) + '"'


_WORDS = st.one_of(st.sampled_from([*KEYS, '{"model":"evil"}', '","model":"x', "\\", "}", "]", '"model":']), st.text(st.characters(exclude_categories=["Cs"]), max_size=8))  # fmt: skip
_SCALARS = st.one_of(_NUMBERS, st.sampled_from(["true", "false", "null"]), strings(_WORDS))


@st.composite
def _arrays(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    inner = draw(st.lists(values, max_size=3))
    return "[" + draw(_SPACE) + f"{draw(_SPACE)},{draw(_SPACE)}".join(inner) + draw(_SPACE) + "]"


@st.composite
def _objects(draw: st.DrawFn, values: st.SearchStrategy[str], keys: st.SearchStrategy[str], most: int) -> str:
    pairs = draw(st.lists(st.tuples(strings(keys), values), max_size=most))
    inner = [draw(_SPACE) + key + draw(_SPACE) + ":" + draw(_SPACE) + value + draw(_SPACE) for key, value in pairs]
    return "{" + ",".join(inner) + (draw(_SPACE) if not inner else "") + "}"


values = st.recursive(
    _SCALARS, lambda inner: st.one_of(_arrays(inner), _objects(inner, st.sampled_from(KEYS), 3)), max_leaves=6
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A whole request body: one object."""
    return (draw(_SPACE) + draw(_objects(values, st.sampled_from(KEYS), 6)) + draw(_SPACE)).encode()


def pairs(body: bytes) -> list[tuple[str, Any]]:
    """A full parse that keeps duplicates, order and how numbers are written."""
    found = json.loads(body, object_pairs_hook=_Pairs, parse_int=str, parse_float=str)
    assert isinstance(found, _Pairs)
    return list(found)


class _Pairs(list[Any]):
    """An object; unlike an array in comparisons."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Pairs) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]
