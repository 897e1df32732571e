"""Models of our own in dialects that their authors did not write: whatever they say, the client gets an answer or hears what is wrong."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.errors import BadRequest
from headgate.gateway.call import Call, Head
from headgate.gateway.dialects import speaking
from headgate.gateway.dialects.messages import TRANSLATED
from headgate.gateway.dialects.port import Dialect
from headgate.gateway.dialects.responses import Responses

DIALECTS: list[Dialect] = [TRANSLATED, Responses({"model": "e", "input": "Hello?"})]
NAMES = st.sampled_from(
    ["choices", "message", "delta", "content", "tool_calls", "function", "arguments", "name", "id", "index", "usage", "finish_reason",
     "type", "text", "summary", "refusal", "reasoning", "reasoning_content", "prompt_tokens", "completion_tokens_details", "model", "created"]
)  # fmt: skip
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from(["text", "reasoning", "summary_text", "stop", "", "x"])
)
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5), max_leaves=20
)


def saying(kind: str, trees: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A completion, or a chunk of one, with anything in it."""
    choice = st.dictionaries(NAMES, trees, max_size=5).map(lambda said: {kind: said, "index": 0})
    return st.dictionaries(NAMES, trees, max_size=3).flatmap(
        lambda said: st.lists(choice, max_size=2).map(lambda choices: {**said, "choices": choices})
    )


class Chunks:
    def __init__(self, *chunks: bytes) -> None:
        self._chunks = iter(chunks)
        self.closed = False

    def __aiter__(self) -> Chunks:
        return self

    async def __anext__(self) -> bytes:
        for chunk in self._chunks:
            return chunk
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.closed = True


def spoken(dialect: Dialect, *chunks: bytes) -> tuple[list[bytes], Call]:
    call = Call(Head("POST", "/x", "churn", None, {}, None, b""), b"", 0, 0.0, 0.0)
    came = Chunks(*chunks)

    async def read() -> list[bytes]:
        stream = speaking.Spoken(call, dialect, came)
        told = [piece async for piece in stream]
        await stream.aclose()
        return told

    told = asyncio.run(read())
    assert came.closed and all(told)
    return told, call


@settings(max_examples=100, deadline=None)
@given(said=saying("message", TREES) | TREES)
def test_whatever_a_model_answers_it_is_said_or_refused(said: Any) -> None:
    for dialect in DIALECTS:
        try:
            assert isinstance(json.loads(speaking.whole(dialect, json.dumps(said).encode())), dict)
        except BadRequest as refused:
            assert "no chat completion" in refused.message


@settings(max_examples=100, deadline=None)
@given(pieces=st.lists(saying("delta", TREES) | TREES, min_size=1, max_size=4), cut=st.integers(1, 60))
def test_whatever_a_model_streams_it_is_said_or_ends_in_an_error(pieces: list[Any], cut: int) -> None:
    body = b"".join(b"data: " + json.dumps(piece).encode() + b"\n\n" for piece in pieces) + b"data: [DONE]\n\n"
    for dialect in DIALECTS:
        told, call = spoken(dialect, *(body[at : at + cut] for at in range(0, len(body), cut)))
        if call.failure:
            assert call.failure == 400 and not call.complete and b"no chat completion" in told[-1]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("garbage", [b"data: not JSON\n\n", b"data: [1]\n\n", b'data: {"choices":[7]}\n\n'])
def test_nothing_follows_what_could_not_be_said(dialect: Dialect, garbage: bytes) -> None:
    hello = b'data: {"choices":[{"delta":{"content":"Hel"}}]}\n\n'
    told, call = spoken(dialect, hello, garbage, hello)
    assert b"Hel" in told[0] and b"no chat completion" in told[-1] and len(told) == 2
    assert call.failure == 400
