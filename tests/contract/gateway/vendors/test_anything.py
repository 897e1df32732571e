"""Whatever a vendor says, the client gets an answer, an error of ours, or a stream that ends in one: every vendor × every dialect of clients."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.contract.providers.rows import Row, ai21, anthropic, bedrock, cohere, openai, vertex
from tests.fakes.vendor.scene import Scene, heard

from headgate.clock import SystemClock
from headgate.domain.external_model import ExternalModel
from headgate.domain.routing import EndpointRoute, EntityRoute, GatewayRoute, RoutingTable
from headgate.errors import HeadgateError, InternalError
from headgate.gateway.call import INVOCATIONS, MESSAGES, RESPONSES, Call, Head
from headgate.gateway.stages.parse import Parse
from headgate.gateway.vendors import tokens
from headgate.gateway.vendors.keys import NO_KEYS
from headgate.gateway.vendors.plane import VendorNeeds, VendorPlane
from headgate.gateway.vendors.vendor import Opened
from headgate.language_settings import ProviderSettings
from headgate.providers.port import CHAT, COMPLETIONS, EMBEDDINGS, Credential
from headgate.providers.port import RESPONSES as RESPONSES_TASK
from headgate.telemetry.counting import Metrics
from headgate.upstream.port import LOST, Lane, UpstreamFailed

ROWS = [row for rows in (openai, anthropic, bedrock, vertex, cohere, ai21) for row in rows.ROWS]
REQUESTS = 60
"""Per vendor and seed; a thousand times as many have been sent by hand."""
JUNK = [b'"x"', b"null", b"-1", b"[]", b"{}", b"1e30", b"[5]", b"true", b'{"a":1}', b'""', b"\xff", b"\n\n", b""]
VALUE = re.compile(rb'(?<=:)\d+|"[a-zA-Z_ ,.]+"(?=[,}])|\{[^{}]*\}|\[[^\[\]]*\]')


class Muddler:
    """Says what the vendor would say, with some of it changed; `upstream.port.Upstream` and its response."""

    headers: Mapping[bytes, bytes] = {}
    complete = False

    def __init__(self, row: Row, rng: random.Random) -> None:
        self.status = 200
        self._row, self._rng = row, rng
        self._pieces: list[bytes] = []

    async def send(self, outgoing: Any, lane: Lane) -> Muddler:
        rng = self._rng
        body = b"".join(self._row.dialect.reply(heard(outgoing), Scene()).pieces)
        for _ in range(rng.randrange(4)):
            found = list(VALUE.finditer(body))
            if found and rng.random() < 0.7:
                start, end = rng.choice(found).span()
            else:
                start = rng.randrange(len(body) + 1)
                end = start + rng.randrange(20)
            body = body[:start] + rng.choice(JUNK) + body[end:]
        self._pieces = [body[at : at + 150] for at in range(0, len(body), 150)]
        return self

    async def body(self) -> bytes:
        return b"".join(self._pieces)

    async def chunk(self) -> bytes:
        if self._rng.random() < 0.01:
            raise UpstreamFailed(LOST, "The connection broke.")
        return self._pieces.pop(0) if self._pieces else b""

    def close(self) -> None: ...


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_whatever_a_vendor_says(row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = row.target(CHAT)
    credential = row.credential
    monkeypatch.setattr(tokens.Source, "held", lambda _: credential)
    rng = random.Random(row.name)

    async def main() -> None:
        entity = EntityRoute(
            "e", "", "", "key", 100, 0, external=ExternalModel(target.model, target.provider, CHAT, target.config)
        )
        route = EndpointRoute("id", "chat", "READY", (entity,), gateway=GatewayRoute(task=CHAT))
        needs = VendorNeeds(Muddler(row, rng), NO_KEYS, ProviderSettings())  # type: ignore[arg-type]  # one response at a time
        plane = VendorPlane(needs, SystemClock(), Metrics(tmp_path, "server-0"))
        plane.update(RoutingTable(1, {"chat": route}))
        targets = {task: row.target(task) for task in (CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES_TASK)}
        plane.fleet.of(entity).open(Opened(row.provider, targets, isinstance(credential, Credential)))
        for _ in range(REQUESTS):
            await _asked(plane, route, rng)

    asyncio.run(main())


async def _asked(plane: VendorPlane, route: EndpointRoute, rng: random.Random) -> None:
    api, stream = rng.choice([INVOCATIONS, MESSAGES, RESPONSES]), rng.random() < 0.6
    said: dict[str, Any] = {"model": "chat", "stream": stream}
    hello = [{"role": "user", "content": "Hi"}]
    said |= {"input": "Hi"} if api == RESPONSES else {"messages": hello, "max_tokens": 5}
    body, now_s = orjson.dumps(said), SystemClock.monotonic_s()
    call = Call(Head("POST", "/", "chat", None, {}, None, b"", api), body, len(body), now_s, now_s + 600)
    call.endpoint, call.entity = route, route.entities[0]
    waiting = Parse(16 * 1024**2)(call)
    if waiting is not None:
        await waiting
    try:
        reply = await plane.step(call)
    except HeadgateError as error:
        assert not isinstance(error, InternalError) or "answered 500" in error.message
        return
    out = b"".join([chunk async for chunk in reply.chunks])
    await reply.chunks.aclose()
    if call.complete:
        return
    assert stream and call.failure and b"[DONE]" not in out and b"message_stop" not in out
    assert b'"error' in out.rstrip().rpartition(b"\n\n")[2], "the last event says what went wrong"
