"""What a request reserves of a limit of tokens, and what it is settled with."""

from __future__ import annotations

from typing import Any

import pytest

from headgate import errors
from headgate.domain.rate_limits import CALLS, RateLimit
from headgate.domain.routing import EndpointRoute, GatewayRoute
from headgate.domain.usage import Usage
from headgate.gateway.call import EMBEDDINGS, INVOCATIONS, Call, Head
from headgate.gateway.stages.limit import Limit, prompt_characters, reserved, spent
from headgate.providers import port
from headgate.wire import chat

IMAGE = b'{"messages":[{"content":[{"image_url":{"url":"data:image/png;base64,' + b"A" * 40_000 + b'"}}]}]}'
AUDIO = b'{"input_audio":{"data": "' + b"A" * 40_000 + b'","format":"wav"}}'


def a_call(body: bytes = b"x" * 39, asks: dict[str, Any] | None = None, **fields: Any) -> Call:
    call = Call(Head("POST", "/", "chat", None, {}, None, b"", fields.pop("api", INVOCATIONS)), body, len(body), 0, 0)
    call.asked = None if asks is None else chat.Head(**asks)
    for name, value in fields.items():
        setattr(call, name, value)
    return call


@pytest.mark.parametrize(
    ("call", "tokens"),
    [
        (a_call(), 10 + 256),
        (a_call(asks={"max_tokens": 50}), 10 + 50),
        (a_call(asks={"max_tokens": 50, "n": 3}), 10 + 150),
        (a_call(asks={"max_completion_tokens": 7, "max_tokens": 50}), 10 + 7),
        (a_call(asks={"n": 0}), 10 + 256),
        (a_call(asks={}, task=port.EMBEDDINGS), 10),
        (a_call(api=EMBEDDINGS), 10),
        (a_call(b""), 256),
    ],
)
def test_what_is_reserved(call: Call, tokens: int) -> None:
    assert reserved(call) == tokens


@pytest.mark.parametrize("body", [IMAGE, AUDIO])
def test_files_in_a_prompt_are_no_words(body: bytes) -> None:
    assert prompt_characters(body) == len(body) - 40_000


def test_a_file_without_an_end_is_counted() -> None:
    body = b'"' + b";base64," + b"A" * 8000
    assert prompt_characters(body) == len(body)


@pytest.mark.parametrize(
    ("fields", "tokens"),
    [
        ({"status": 200, "usage": Usage(30, 12)}, 42),
        ({"status": 400, "usage": Usage(30, 12)}, 42),  # a guardrail stopped the answer
        ({"status": 499, "streamed": True, "usage": Usage(30, 1)}, 31),  # the client left in the middle
        ({"status": 200, "response_bytes": 399}, 10 + 100),
        ({"status": 200, "response_bytes": 399, "task": port.EMBEDDINGS}, 10),
        ({"status": 200, "streamed": True, "response_bytes": 399}, None),
        ({"status": 499}, None),
        ({"status": 504}, None),
        ({"status": 502}, 0),
        ({"status": 400}, 0),
    ],
)
def test_what_is_settled(fields: dict[str, Any], tokens: int | None) -> None:
    assert spent(a_call(**fields)) == tokens


def test_without_limits_nobody_is_asked() -> None:
    call = a_call()
    call.endpoint = EndpointRoute("e", "chat", "READY")
    Limit(100)(call)
    assert call.admission is None
    call.endpoint = EndpointRoute("e", "chat", "READY", gateway=GatewayRoute(rate_limits=(RateLimit(CALLS, 0),)))
    Limit(100)(call)  # nothing there that enforces limits: a pipeline of tests
    with pytest.raises(errors.BadRequest, match="limit of 100 bytes"):
        Limit(100)(a_call(b"x" * 101))
