"""A request goes with all that it held: no circle of references keeps its body until the collector of garbage comes by, which is rare in a server."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import CoroutineType, FrameType
from typing import Any

import pytest
import uvloop
from tests.contract.gateway import bench as benches
from tests.contract.gateway.bench import entity, until
from tests.contract.gateway.vendors.outside import HELLO, Outside, outside
from tests.fakes.vendor.scene import Said, Scene
from tests.fakes.worker import Received, echo, silence

import headgate
from headgate import settings
from headgate.access.directory import Directory
from headgate.clock import SystemClock
from headgate.domain import ai_gateway
from headgate.domain.identity import Population
from headgate.domain.request_record import InferenceTable
from headgate.domain.routing import GatewayRoute
from headgate.gateway.records.keeper import Records
from headgate.limits.sharing import Sharing
from headgate.settings import WarehouseSettings
from headgate.telemetry.counting import Metrics
from headgate.warehouse.spool import segments
from headgate.warehouse.spool.writing import Spool

OURS = str(Path(headgate.__file__).parent)
TIMES = 3
STREAMED = {**HELLO, "stream": True}
MESSAGES, MESSAGES_PATH = {**HELLO, "model": "churn", "max_tokens": 9}, "/serving-endpoints/anthropic/v1/messages"
RESPONSES, RESPONSES_PATH = {"model": "churn", "input": "Hi"}, "/serving-endpoints/responses"
PERSONAL = {"messages": [{"role": "user", "content": "I am a@example.com"}]}
GUARDED = {"guardrails": {"input": {"pii": {"behavior": "BLOCK"}}, "output": {"pii": {"behavior": "MASK"}}}}
STOPS = {"guardrails": {"output": {"pii": {"behavior": "BLOCK"}}}}
SAYS_WHO = Scene((Said("Write to a@example.com today."),))
NOTHING_LEFT = {"rate_limits": [{"calls": 0, "key": "endpoint", "renewal_period": "minute"}]}
Way = Callable[[Outside], Awaitable[Any]]


@contextlib.asynccontextmanager
async def everything(folder: Path) -> AsyncIterator[Outside]:
    """A gateway with limits and records, and vendors."""
    spool = Spool(segments.folder(folder), WarehouseSettings(), SystemClock(), Metrics(folder / "spool", "x"))
    spool.start()
    found = settings.load({"workers": 1, "data_dir": folder}, environ={})
    needs = {
        "keeper": Records(spool, SystemClock(), 1024**2),
        "sharing": Sharing(found, SystemClock(), Metrics(folder / "limits", "x"), None),
        "directory": lambda: Directory(Population()),
    }
    async with outside(folder, needs=needs) as out:
        yield out


async def vendors(
    out: Outside, provider: str = "openai", gateway: Any = None, fallback: bool = False, **act: Any
) -> None:
    """The endpoint `churn` is two vendors, of which the first does this."""
    wanted = ai_gateway.parse(gateway or {})
    table = InferenceTable("main", "default", "churn")
    route = GatewayRoute(
        kind="EXTERNAL_MODEL", task="llm/v1/chat", rate_limits=wanted.rate_limits or (), guardrails=wanted.guardrails,
        fallback=fallback, usage_tracked=True, inference_table=table,
    )  # fmt: skip
    out.act("first", **act)
    await out.serve(out.entity("first", 100, provider), out.entity("second", 0), gateway=route)


async def replica(out: Outside, behave: Any = echo) -> None:
    """It is a model of our own."""
    worker = await out.bench.worker(behave)
    table = InferenceTable("main", "default", "churn")
    await out.bench.serve(entity(worker), gateway=GatewayRoute(usage_tracked=True, inference_table=table))
    await out.bench.linked(1)


async def streams(request: Received) -> None:
    request.stream()
    request.chunk(b"data: {}\n\n")
    request.end()


async def streams_and_waits(request: Received) -> None:
    request.stream()
    request.chunk(b"data: {}\n\n")
    await request.cancelled.wait()


async def streams_and_breaks(request: Received) -> None:
    request.stream()
    request.chunk(b"data: {}\n\n")
    await asyncio.sleep(0)
    request._peer.transport.abort()


async def dies(request: Received) -> None:
    request._peer.transport.abort()


def dies_every_other_time() -> Any:
    ways = itertools.cycle((dies, echo))
    return lambda request: next(ways)(request)


def asks(body: Any = HELLO, status: int = 200, **options: Any) -> Way:
    async def ask(out: Outside) -> None:
        answer = await out.ask(body, **options)
        assert answer.status == status, answer

    return ask


async def leaves_a_stream(out: Outside) -> None:
    client = out.send(STREAMED)
    await until(lambda: bool(client.response.pieces))
    await _left(out, client)


async def leaves_before_the_answer(out: Outside) -> None:
    client = out.send(HELLO)
    await until(lambda: out.bench.gateway.routes.active == 1)
    await _left(out, client)


async def _left(out: Outside, client: Any) -> None:
    client.leave()
    await until(lambda: out.bench.gateway.routes.active == 0)


WAYS: dict[str, tuple[Callable[[Outside], Awaitable[None]], Way]] = {
    "whole": (vendors, asks()),
    "stream": (vendors, asks(STREAMED)),
    "stream of anthropic": (lambda out: vendors(out, "anthropic"), asks(STREAMED)),
    "stream of bedrock": (lambda out: vendors(out, "amazon-bedrock"), asks(STREAMED)),
    "stream of cohere": (lambda out: vendors(out, "cohere"), asks(STREAMED)),
    "left stream": (lambda out: vendors(out, pause_s=600.0, pause_from=2), leaves_a_stream),
    "left": (lambda out: vendors(out, delay_s=600.0), leaves_before_the_answer),
    "broken stream": (lambda out: vendors(out, hang_up_after_pieces=3), asks(STREAMED)),
    "nowhere": (vendors, asks(path="/serving-endpoints/nowhere/invocations", status=404)),
    "no JSON": (vendors, asks("{", 400)),
    "guarded": (lambda out: vendors(out, gateway=GUARDED), asks()),
    "guarded stream": (lambda out: vendors(out, gateway=GUARDED), asks(STREAMED)),
    "blocked": (lambda out: vendors(out, gateway=GUARDED), asks(PERSONAL, 400)),
    "stopped": (lambda out: vendors(out, gateway=STOPS, scene=SAYS_WHO), asks(status=400)),
    "stopped stream": (lambda out: vendors(out, gateway=STOPS, scene=SAYS_WHO), asks(STREAMED)),
    "over the limit": (lambda out: vendors(out, gateway=NOTHING_LEFT), asks(status=429)),
    "fallback": (lambda out: vendors(out, fallback=True, status=500), asks()),
    "stream of the second": (lambda out: vendors(out, fallback=True, status=500), asks(STREAMED)),
    "failed": (lambda out: vendors(out, status=500), asks(status=500)),
    "failed stream": (lambda out: vendors(out, status=500), asks(STREAMED, 500)),
    "garbage": (lambda out: vendors(out, body=b"{"), asks(status=503)),
    "messages": (vendors, asks(MESSAGES, path=MESSAGES_PATH)),
    "messages stream": (vendors, asks({**MESSAGES, "stream": True}, path=MESSAGES_PATH)),
    "responses": (vendors, asks(RESPONSES, path=RESPONSES_PATH)),
    "responses stream": (vendors, asks({**RESPONSES, "stream": True}, path=RESPONSES_PATH)),
    "replica": (replica, asks()),
    "replica's stream": (lambda out: replica(out, streams), asks(STREAMED)),
    "left replica": (lambda out: replica(out, silence), leaves_before_the_answer),
    "left replica's stream": (lambda out: replica(out, streams_and_waits), leaves_a_stream),
    "broken replica's stream": (lambda out: replica(out, streams_and_breaks), asks(STREAMED)),
    "replica that dies": (lambda out: replica(out, dies_every_other_time()), asks()),
}


PAST_HTTP = ["whole", "stream", "left", "no JSON", "replica", "left replica", "replica that dies"]
"""Those that differ where they need no task."""


@pytest.mark.parametrize(("door", "way"), [*(("http", way) for way in WAYS), *(("asgi", way) for way in PAST_HTTP)])
def test_no_request_leaves_a_circle_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, door: str, way: str
) -> None:
    monkeypatch.setattr(benches, "DOOR", door)
    monkeypatch.setattr(
        logging.root.manager, "disable", logging.CRITICAL
    )  # pytest keeps what is logged, errors among it
    prepare, act = WAYS[way]

    async def main() -> None:
        async with everything(tmp_path) as out:
            await prepare(out)
            await act(out)
            await settled(out)
            with collected() as found:
                for _ in range(TIMES):
                    await act(out)
                await settled(out)
            assert not found

    uvloop.run(main())


async def settled(out: Outside) -> None:
    await until(lambda: out.bench.gateway.routes.active == 0)
    for _ in range(10):
        await asyncio.sleep(0)


@contextlib.contextmanager
def collected() -> Any:
    """What of ours the collector finds afterwards."""
    found: Counter[str] = Counter()
    gc.disable()
    gc.freeze()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield found
        gc.collect()
        found.update(name for one in gc.garbage if (name := ours(one)))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.unfreeze()
        gc.enable()


def ours(one: object) -> str:
    """What it is, where it is of the server."""
    if isinstance(one, FrameType):
        return one.f_code.co_qualname if one.f_code.co_filename.startswith(OURS) else ""
    if isinstance(one, CoroutineType):
        return one.__qualname__ if one.cr_code.co_filename.startswith(OURS) else ""
    kind = type(one)
    return kind.__qualname__ if kind.__module__.startswith("headgate.") else ""
