"""Bodies nobody should send, of every kind and any number, the same ones every time."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

_TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
_CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CHAT: dict[str, Any] = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,aaaa"}}]},
        {"role": "assistant", "content": None, "tool_calls": [_CALL]},
        {"role": "tool", "tool_call_id": "1", "content": "done"},
    ],
    "max_tokens": 16,
    "temperature": 0.5,
    "stop": ["END"],
    "n": 1,
    "tools": [_TOOL],
    "tool_choice": "auto",
    "response_format": {"type": "text"},
    "stream": False,
    "stream_options": None,
    "extra_params": {"top_k": 3},
    "usage_context": {"team": "growth"},
    "client_request_id": "abc",
    "user": "me@example.com",
}  # fmt: skip
COMPLETIONS: dict[str, Any] = {"prompt": ["Once"], "max_tokens": 9, "stream": True, "stop": "END", "echo": False}
EMBEDDINGS: dict[str, Any] = {"input": ["a", "b"], "encoding_format": "float", "dimensions": 2, "user": "me"}
RESPONSES: dict[str, Any] = {
    "input": [{"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}],
    "instructions": "Be brief.",
    "max_output_tokens": 9,
    "stream": True,
    "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
    "text": {"format": {"type": "text"}},
}
MESSAGES: dict[str, Any] = {
    "max_tokens": 9,
    "system": [{"type": "text", "text": "Be brief."}],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "done"}]},
    ],
    "tools": [{"name": "f", "input_schema": {"type": "object"}}],
    "tool_choice": {"type": "auto"},
    "stream": True,
}
FRAMES: dict[str, Any] = {"dataframe_split": {"columns": ["a"], "data": [[1.0]]}, "params": {"x": 1}}


@dataclass(frozen=True)
class Case:
    """One request."""

    path: str
    body: bytes
    content_type: str


def cases(count: int, routes: dict[str, dict[str, Any]], seed: int = 5) -> Iterator[Case]:
    """`routes`: a body that could have been meant, per path."""
    rng = random.Random(seed)
    paths = list(routes)
    for _ in range(count):
        path = rng.choice(paths)
        content_type = "application/json" if rng.random() < 0.93 else rng.choice(_TYPES)
        yield Case(path, rng.choice(_WAYS)(rng, routes[path]), content_type)


_TYPES = [
    "",
    "text/plain",
    "application/json; charset=utf-16",
    "multipart/form-data; boundary=x",
    "text/csv",
    "a/b;" * 50,
]
_VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63) - 1, 10**400, 1e308, -0.0, 0.1, "", " ", "a", "\x00", "\ud800", "x" * 5000,
    "null", "1", "[]", "user", "data:image/png;base64,!!!", "http://169.254.169.254/", "{{secrets/a/b}}", "../../etc/passwd", "a/b", "talk", "embed",
    [], {}, [None], [[]], [{}], {"": ""}, {"type": "function"}, {"type": "text"}, {"role": "user"}, ["a"] * 200, {str(n): n for n in range(200)},
    "🙂" * 300, "\u202e", "e\u0301",
]  # fmt: skip


def _wrong_value(rng: random.Random, body: dict[str, Any]) -> bytes:
    """One to three values anywhere are of a wrong type, too large, empty …"""
    made = json.loads(json.dumps(body))
    for _ in range(rng.randint(1, 3)):
        parent, key = rng.choice(list(_places(made)))
        parent[key] = copy.deepcopy(rng.choice(_VALUES))
    return _text(made)


def _missing(rng: random.Random, body: dict[str, Any]) -> bytes:
    made = json.loads(json.dumps(body))
    for _ in range(rng.randint(1, 3)):
        places = [(parent, key) for parent, key in _places(made) if isinstance(parent, dict)]
        if places:
            parent, key = rng.choice(places)
            del parent[key]
    return _text(made)


def _unknown(rng: random.Random, body: dict[str, Any]) -> bytes:
    made = json.loads(json.dumps(body))
    made[rng.choice(["", "__proto__", "MODEL", "model ", "x" * 300, "Stream", "\u0000"])] = rng.choice(_VALUES)
    made["model"] = rng.choice(_VALUES)
    return _text(made)


def _truncated(rng: random.Random, body: dict[str, Any]) -> bytes:
    whole = _text(body)
    return whole[: rng.randrange(len(whole))]


def _damaged(rng: random.Random, body: dict[str, Any]) -> bytes:
    """Bytes changed, doubled or put in: invalid UTF-8, NUL, broken numbers and escapes."""
    whole = bytearray(_text(body))
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(whole))
        whole[at : at + rng.randint(0, 2)] = rng.choice(
            [
                b"\x00",
                b"\xff",
                b"\xc3",
                b"\xed\xa0\x80",
                b'"',
                b"\\",
                b"\\u12",
                b"\\ud800",
                b"{",
                b"]",
                b",",
                b":",
                b"-",
                b"1e9999",
                b"NaN",
                b"//",
            ]
        )
    return bytes(whole)


def _twice(rng: random.Random, body: dict[str, Any]) -> bytes:
    """A key two times, with different values."""
    key = rng.choice([*body, "model", "stream", "stream_options"])
    doubled = json.dumps(key) + ":" + json.dumps(rng.choice(_VALUES))
    return _text(body)[:-1] + b"," + doubled.encode() + b"}"


def _deep(rng: random.Random, body: dict[str, Any]) -> bytes:
    depth = rng.choice([100, 1100, 5000, 50_000])
    nested = rng.choice(["[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth, "[" * depth, '{"a":[' * depth])
    key = rng.choice([*body, None])
    return (
        nested if key is None else json.dumps({**body, key: 0}).replace(f'"{key}": 0', f'"{key}": {nested}')
    ).encode()


def _nothing_like_it(rng: random.Random, body: dict[str, Any]) -> bytes:
    whole = _text(body)
    return rng.choice(
        [
            b"", b" ", b"null", b"0", b'"text"', b"[]", b"{}", b"[{}]", b"\xef\xbb\xbf" + whole, whole.decode().encode("utf-16"), whole + whole,
            b"a=1&b=2", b"\x1f\x8b\x08\x00", rng.randbytes(rng.randint(1, 400)), b"<a/>", b"a,b\n1,2\n", b"{" * 300, b'{"messages":', whole + b"\x00",
        ]
    )  # fmt: skip


_WAYS: list[Callable[[random.Random, dict[str, Any]], bytes]] = [
    _wrong_value, _wrong_value, _wrong_value, _missing, _unknown, _truncated, _damaged, _damaged, _twice, _deep, _nothing_like_it,
]  # fmt: skip


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in list(items):
        yield node, key
        yield from _places(value)


def _text(made: Any) -> bytes:
    return json.dumps(made).encode()
