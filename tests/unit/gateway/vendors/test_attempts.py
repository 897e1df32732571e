"""Every way an attempt can end × its place in the order × whole and streamed: what is asked, what the client gets, what is remembered."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.gateway.vendors.parts import HandClock, endpoint, entity, model, table

from headgate.access.secrets import SecretUnavailable
from headgate.domain.external_model import ExternalModel
from headgate.domain.usage import Usage
from headgate.errors import HeadgateError
from headgate.gateway.call import Call, Head, Reply
from headgate.gateway.vendors.keys import KeySource
from headgate.gateway.vendors.plane import VendorNeeds, VendorPlane
from headgate.language_settings import ProviderSettings
from headgate.providers.port import CHAT
from headgate.telemetry.counting import Metrics
from headgate.upstream.port import BUSY, CONNECT, GARBAGE, LOST, TIMEOUT, Lane, Sending, UpstreamFailed
from headgate.wire import chat

ROLE = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
END = (
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\ndata: [DONE]\n\n'
)
ANSWER = (
    b'{"choices":[{"message":{"role":"assistant","content":"%b"}}],"usage":{"prompt_tokens":3,"completion_tokens":2}}'
)
LOST_NOW = UpstreamFailed(LOST, "The connection broke.")


def said(name: str) -> bytes:
    return b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % name.encode()


@dataclass(frozen=True)
class Way:
    """How a vendor behaves. What comes is the head's `status` and `pieces`, or `failure` at once."""

    status: int = 200
    failure: UpstreamFailed | None = None
    whole: bytes | UpstreamFailed = ANSWER
    pieces: tuple[bytes | UpstreamFailed, ...] = (ROLE, b"<said>", END)
    recorded: tuple[int, int] = (200, 200)
    """Status of the attempt: whole, streamed."""
    goes_on: tuple[bool, bool] = (False, False)
    """Whether another one is asked after it: whole, streamed."""
    breaks: bool = False
    """Whether its stream ends in an error."""


BOTH = (True, True)
WAYS: Mapping[str, Way] = {
    "well": Way(),
    "rate limited": Way(429, recorded=(429, 429), goes_on=BOTH),
    "broken": Way(500, recorded=(500, 500), goes_on=BOTH),
    "overloaded": Way(529, recorded=(529, 529), goes_on=BOTH),
    "refusing": Way(400, recorded=(400, 400)),
    "locked": Way(401, recorded=(401, 401)),
    "down": Way(failure=UpstreamFailed(CONNECT, "Nobody is there."), recorded=(0, 0), goes_on=BOTH),
    "slow": Way(failure=UpstreamFailed(TIMEOUT, "It took too long."), recorded=(0, 0), goes_on=BOTH),
    "odd": Way(failure=UpstreamFailed(GARBAGE, "That is no HTTP."), recorded=(0, 0), goes_on=BOTH),
    "full": Way(failure=UpstreamFailed(BUSY, "All are in use."), recorded=(0, 0), goes_on=BOTH),
    "keyless": Way(recorded=(0, 0), goes_on=BOTH),
    "cut": Way(whole=LOST_NOW, pieces=(ROLE, LOST_NOW), recorded=(0, 0), goes_on=BOTH),
    "silent": Way(whole=b"", pieces=(), recorded=(502, 503), goes_on=BOTH),
    "garbled": Way(whole=b"<html>", pieces=(b"<html>\n\n",), recorded=(502, 503), goes_on=BOTH),
    "cut after content": Way(pieces=(ROLE, b"<said>", LOST_NOW), recorded=(200, 0), breaks=True),
    "ends early": Way(pieces=(ROLE, b"<said>"), recorded=(200, 503), breaks=True),
    "garbled after content": Way(pieces=(ROLE, b"<said>", b"data: {\n\n"), recorded=(200, 503), breaks=True),
    "fails after content": Way(
        pieces=(ROLE, b"<said>", b'data: {"error":{"message":"oh","code":500}}\n\n'), recorded=(200, 500), breaks=True
    ),
}


@dataclass
class Answer:
    """`upstream.port.Response` that behaves."""

    way: Way
    name: str
    headers: Mapping[bytes, bytes] = field(default_factory=dict)
    complete: bool = False
    closed: bool = False
    at: int = 0

    @property
    def status(self) -> int:
        return self.way.status

    async def body(self) -> bytes:
        if self.way.status != 200:
            self.complete = True
            return b'{"error":{"message":"no"}}'
        if isinstance(self.way.whole, UpstreamFailed):
            raise self.way.whole
        self.complete = True
        return self.way.whole.replace(b"%b", self.name.encode())

    async def chunk(self) -> bytes:
        if self.at == len(self.way.pieces):
            self.complete = True
            return b""
        piece = self.way.pieces[self.at]
        self.at += 1
        if isinstance(piece, UpstreamFailed):
            raise piece
        return said(self.name) if piece == b"<said>" else piece

    def close(self) -> None:
        self.closed = True


class House:
    """Vendors `a`, `b` … that behave in these ways, of one endpoint."""

    def __init__(self, ways: list[str], fallback: bool = True) -> None:
        self.names = [chr(97 + number) for number in range(len(ways))]
        self.ways = dict(zip(self.names, ways, strict=True))
        self.asked: list[str] = []
        self.answers: list[Answer] = []
        entities = [entity(name, 100 if name == "a" else 0, _model(name)) for name in self.names]
        self.route = endpoint(*entities, fallback=fallback)
        self.clock = HandClock()
        needs = VendorNeeds(self, KeySource(self.open, lambda: 1), ProviderSettings())
        self.plane = VendorPlane(needs, self.clock, Metrics(Path(tempfile.gettempdir()) / "none", "server-0"))
        self.plane.update(table(self.route))

    def open(self, asked: ExternalModel) -> Mapping[str, str]:
        if self.ways[asked.name] == "keyless":
            raise SecretUnavailable("secret ours/key is not there")
        return asked.fields

    async def send(self, sending: Sending, lane: Lane) -> Answer:
        name = orjson.loads(sending.body)["model"]
        self.asked.append(name)
        way = WAYS[self.ways[name]]
        if way.failure is not None:
            raise way.failure
        self.answers.append(Answer(way, name))
        return self.answers[-1]

    async def close(self) -> None: ...

    def call(self, stream: bool) -> Call:
        body = orjson.dumps({"messages": [], "stream": stream})
        head = Head("POST", "/", self.route.name, None, {}, None, b"")
        call = Call(head, body, len(body), self.clock.s, self.clock.s + 600.0)
        call.endpoint, call.entity = self.route, self.route.entities[0]
        call.asked, call.task = chat.read_head(body), CHAT
        return call


def _model(name: str) -> ExternalModel:
    return model(name)


async def taken(reply: Reply) -> bytes:
    try:
        return b"".join([chunk async for chunk in reply.chunks])
    finally:
        await reply.chunks.aclose()


@given(
    st.lists(st.sampled_from(sorted(WAYS)), min_size=1, max_size=4),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_whatever_becomes_of_attempts(ways: list[str], stream: bool, fallback: bool) -> None:
    asyncio.run(_judged(House(ways, fallback), stream))


@pytest.mark.parametrize("way", sorted(WAYS))
@pytest.mark.parametrize("before", [[], ["down"], ["cut", "broken"]])
@pytest.mark.parametrize("stream", [False, True])
def test_every_way_in_every_place(way: str, before: list[str], stream: bool) -> None:
    asyncio.run(_judged(House([*before, way, "well"]), stream))


async def _judged(house: House, stream: bool) -> None:
    await house.plane.look()
    # Those without keys come last: they are known not to be ready.
    order = sorted(house.names, key=lambda name: house.ways[name] == "keyless")
    if not house.route.gateway.fallback:
        order = ["a"]
    expected = []
    for name in order:
        expected.append(name)
        if not WAYS[house.ways[name]].goes_on[stream]:
            break
    last = WAYS[house.ways[expected[-1]]]

    call = house.call(stream)
    body, error = b"", None
    try:
        reply = await house.plane.step(call)
        body = await taken(reply)
    except HeadgateError as refusal:
        error = refusal
    for _ in range(10):  # the end of a stream's framing is read on the side
        await asyncio.sleep(0)

    assert [(one.served_entity_name, one.status) for one in call.attempts] == [
        (name, WAYS[house.ways[name]].recorded[stream]) for name in expected
    ]
    assert house.asked == [name for name in expected if house.ways[name] != "keyless"]
    assert call.entity.name == expected[-1]
    assert all(answer.closed or answer.complete for answer in house.answers), "no connection is forgotten"
    answered = last.status == 200 and last.failure is None and not last.goes_on[stream]
    assert (error is None) == answered
    if error is not None:
        assert error.http_status >= 400 and error.headers["served-model-name"] == expected[-1]
        return
    others = [name for name in house.names if name != expected[-1]]
    assert b'content":"%b"' % expected[-1].encode() in body
    assert not any(b'content":"%b"' % name.encode() in body for name in others), "of one vendor only"
    if stream and last.breaks:
        assert b"[DONE]" not in body and body.count(b'"error"') == 1 and not call.complete and call.failure >= 500
    else:
        assert call.usage == Usage(3, 2) and call.complete and not call.failure
        assert body.endswith(b"data: [DONE]\n\n") == stream
