"""Fifth stage: hands one finished record of every request to the recorder, whatever became of it.

A streamed answer is finished when its last chunk is sent or its client has left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

from headgate import errors
from headgate.access.principals import Principal
from headgate.clock import Clock
from headgate.domain.routing import EndpointRoute, EntityRoute
from headgate.gateway.call import Call, Chunks, Reply
from headgate.telemetry import metrics
from headgate.telemetry.counting import Metrics

CLIENT_LEFT = 499


class FinishedRequest(NamedTuple):
    """What happened."""

    request_id: str
    endpoint: EndpointRoute
    entity: EntityRoute
    """`call.UNCHOSEN` when it was refused before one was chosen."""
    principal: Principal
    status: int
    """HTTP status; 499: the client left. Of a stream that broke, what the status would have been."""
    total_ms: float
    queue_ms: float
    execute_ms: float
    request_bytes: int
    response_bytes: int
    streamed: bool


class Recorder(Protocol):
    """Where records go. Must be quick and must not raise."""

    def record(self, finished: FinishedRequest, call: Call) -> None: ...


class CountingRecorder:
    """Counts into the metrics."""

    def __init__(self, counted: Metrics) -> None:
        self._counted = counted

    def record(self, finished: FinishedRequest, call: Call) -> None:
        if call.deployment is None:
            self._counted.number(metrics.REQUESTS, finished.endpoint.name, "", str(finished.status)).add()
            return
        series = call.deployment.series
        series.answered(finished.status)
        series.request.observe(finished.total_ms)
        series.queue.observe(finished.queue_ms)
        series.prediction.observe(finished.execute_ms)


class Record:
    """See the module."""

    def __init__(self, recorder: Recorder, clock: Clock) -> None:
        self._recorder = recorder
        self._clock = clock

    async def __call__(self, call: Call, next: Callable[[Call], Awaitable[Reply]]) -> Reply:
        status, streamed = 500, False
        try:
            reply = await next(call)
            status = reply.status
            if reply.length is None:
                streamed = True
                reply.chunks = _Recorded(reply, self, call)
            else:
                call.response_bytes = reply.length
            return reply
        except errors.HeadgateError as error:
            status = error.http_status
            raise
        except asyncio.CancelledError:
            status = CLIENT_LEFT
            raise
        finally:
            if not streamed:
                self.finish(call, status, streamed=False)

    def finish(self, call: Call, status: int, *, streamed: bool) -> None:
        """Hands over the record."""
        finished = FinishedRequest(
            call.request_id,
            call.endpoint,
            call.entity,
            call.principal,
            call.failure or status,
            (self._clock.monotonic_s() - call.arrived_s) * 1000.0,
            call.queue_ms,
            call.execute_ms,
            call.body_bytes,
            call.response_bytes,
            streamed,
        )
        self._recorder.record(finished, call)


class _Recorded:
    """The chunks of a stream, with a record at their end."""

    __slots__ = ("_call", "_chunks", "_ended", "_finished", "_record", "_status")

    def __init__(self, reply: Reply, record: Record, call: Call) -> None:
        self._chunks: Chunks = reply.chunks
        self._status = reply.status
        self._record = record
        self._call = call
        self._ended = False
        self._finished = False

    def __aiter__(self) -> _Recorded:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._chunks.__anext__()
        except StopAsyncIteration:
            self._ended = True
            raise
        self._call.response_bytes += len(chunk)
        return chunk

    async def aclose(self) -> None:
        try:
            await self._chunks.aclose()
        finally:
            if not self._finished:
                self._finished = True
                self._record.finish(self._call, self._status if self._ended else CLIENT_LEFT, streamed=True)
