"""What is long is translated where nobody waits for it: not on the event loop."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest
from tests.unit.gateway.test_what_is_asked import a_call

from headgate.domain.external_model import ExternalModel
from headgate.errors import BadRequest, TemporarilyUnavailable
from headgate.gateway import call as apis
from headgate.gateway.aside import AT_ONCE_BYTES, MOST_WAITING, Aside
from headgate.gateway.dialects import messages
from headgate.gateway.stages.address import Address
from headgate.gateway.stages.parse import Parse
from headgate.gateway.vendors.speech import Speech
from headgate.gateway.vendors.vendor import opened
from headgate.providers.port import CHAT

LONG = [{"role": "user", "content": "a"}] * 2000


def test_a_long_body_is_translated_in_a_thread() -> None:
    call = a_call(apis.RESPONSES, json.dumps({"model": "churn", "input": LONG}).encode(), provider="cohere")
    Address(1_000_000)(call)
    waiting = Parse(16 * 1024**2)(call)
    assert waiting is not None and len(call.body) > AT_ONCE_BYTES

    async def waited() -> None:
        await waiting

    asyncio.run(waited())
    assert call.task == CHAT and len(json.loads(call.body)["messages"]) == len(LONG)


@pytest.mark.parametrize(("api", "provider"), [(apis.CHAT_COMPLETIONS, "openai"), (apis.RESPONSES, "cohere")])
def test_absurdly_many_values_are_refused_before_anything_parses_them(api: str, provider: str) -> None:
    body = b'{"model":"churn","messages":[],"input":[],"metadata":[' + b"[]," * 400_000 + b"[]]}"
    call = a_call(api, body, provider=provider)
    Address(16 * 1024**2)(call)
    with pytest.raises(BadRequest, match="more than 400000 JSON values"):
        Parse(16 * 1024**2)(call)


def test_what_is_short_is_done_at_once_and_errors_come_back_from_both() -> None:
    aside = Aside()
    loop = threading.current_thread()
    assert asyncio.run(aside.do(False, threading.current_thread)) is loop
    assert asyncio.run(aside.do(True, threading.current_thread)) is not loop
    for long in (False, True):
        with pytest.raises(ZeroDivisionError):
            asyncio.run(aside.do(long, lambda: 1 // 0))


def test_only_so_many_wait_for_a_thread() -> None:
    held = threading.Event()

    async def live() -> None:
        aside = Aside()
        waiting = [asyncio.ensure_future(aside.do(True, held.wait)) for _ in range(MOST_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(TemporarilyUnavailable, match="Too many long requests"):
            await aside.do(True, held.wait)
        assert await aside.do(False, lambda: 1) == 1
        held.set()
        assert all(await asyncio.gather(*waiting))
        assert await aside.do(True, lambda: 2) == 2
        aside.stop()

    asyncio.run(live())


@pytest.mark.parametrize(
    ("provider", "size", "long"),
    [
        ("openai", AT_ONCE_BYTES + 1, False),  # goes through as it is
        ("openai", 1024 * 1024 + 1, True),
        ("cohere", AT_ONCE_BYTES, False),
        ("cohere", AT_ONCE_BYTES + 1, True),
    ],
)
def test_what_goes_through_as_it_is_may_be_longer(provider: str, size: int, long: bool) -> None:
    config = {f"{provider}_api_key": "secret"}
    speech = Speech(_chat(provider), opened(ExternalModel("m", provider, CHAT, {}), config, 0.0))
    assert speech.takes_long(size) is long


def test_a_dialect_is_translated_also_for_openai() -> None:
    call = _chat("openai")
    call.dialect = messages.MESSAGES
    speech = Speech(call, opened(ExternalModel("m", "openai", CHAT, {}), {"openai_api_key": "secret"}, 0.0))
    assert speech.takes_long(AT_ONCE_BYTES + 1)


def _chat(provider: str) -> Any:
    call = a_call(apis.CHAT_COMPLETIONS, json.dumps({"model": "churn", "messages": []}).encode(), provider=provider)
    call.task = CHAT
    return call
