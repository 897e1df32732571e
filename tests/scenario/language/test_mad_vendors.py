"""Vendors of every dialect whose answers are damaged by chance: clients get what the protocol allows, whole and streamed, and nothing breaks."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

import pytest
from tests.scenario.house import until
from tests.scenario.language_house import HELLO, LanguageHouse
from tests.scenario.streams import Client, Stream

pytestmark = pytest.mark.scenario
EACH = 60
"""Requests per provider, and as many streams."""
PROVIDERS = (
    "openai", "anthropic", "cohere", "ai21labs", "databricks-model-serving", "amazon-bedrock", "google-cloud-vertex-ai", "custom",
)  # fmt: skip
IDENTICAL = ("openai", "databricks-model-serving", "custom")
TOLD = {400, 401, 403, 404, 409, 429, 500, 503, 504}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_damaged_answers_end_as_answers_or_errors(there: LanguageHouse, provider: str) -> None:
    name = f"mad-{provider}"
    there.external_endpoint(name, provider)
    assert there.ask(name).status == 200  # keys, tokens: only answers are to be damaged
    there.vendor.act(name, damage=1000)
    seen: Counter[str] = Counter()
    with Client(there.house) as client:
        for _ in range(EACH):
            status, _, told = client.answer(name, HELLO)
            seen["whole" if status == 200 else "refused"] += 1
            # Who speaks our clients' dialect is passed on as it is.
            sound = isinstance(told, dict) if provider in IDENTICAL else isinstance(told.get("choices"), list)
            assert sound if status == 200 else status in TOLD and told["message"], told
            stream = Stream(client, name, HELLO).rest()
            if stream.status != 200:
                assert stream.status in TOLD
                seen["refused stream"] += 1
                continue
            assert not stream.cut and stream.done == (stream.error is None), (stream.text, stream.error)
            seen["done" if stream.done else "broken off"] += 1
    assert seen["refused"] + seen["refused stream"] + seen["broken off"] > EACH // 4, seen
    there.vendor.act(name)
    until(lambda: there.ask(name).status == 200, "it answers again")
    assert not re.search(r"Traceback|Unhandled|never retrieved", there.house.log.read_text())
    there.house.delete(name)


def test_a_client_that_does_not_read_makes_the_vendor_wait(there: LanguageHouse) -> None:
    """Not this server's memory grow."""
    there.external_endpoint("flood")
    event = 'data: {"choices":[{"index":0,"delta":{"content":"' + "x" * 10_000 + '"},"finish_reason":null}]}\n\n'
    events = 3000
    end = 'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    stream_of = {"content-type": "text/event-stream"}
    there.vendor.act("flood", body=event * events + end, piece_bytes=100_000, headers=stream_of)
    before, sent_before = _resident_bytes(there), there.vendor.did("flood")["sent_bytes"]
    with Client(there.house) as client:
        stream = Stream(client, "flood", HELLO)
        assert stream.next() is not None
        sent = until(lambda: _stands_still(there), "the vendor can send no more") - sent_before
        assert 0 < sent < len(event) * events // 2
        assert _resident_bytes(there) - before < 12 * 1024**2
        stream.rest()
    assert len(stream.text) == 10_000 * events and stream.done
    there.house.delete("flood")


def _stands_still(there: LanguageHouse) -> int:
    """Bytes the vendor has sent, if that is the same for a while; else 0."""
    sent = int(there.vendor.did("flood")["sent_bytes"])
    for _ in range(20):
        if there.vendor.did("flood")["sent_bytes"] != sent:
            return 0
    return sent


def _resident_bytes(there: LanguageHouse) -> int:
    """Of all server processes."""
    pages = (int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in there.house.pids("server"))
    return sum(pages) * os.sysconf("SC_PAGE_SIZE")
