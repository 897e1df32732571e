"""Last step: a slot of a replica, the request over its link, the answer back.

A request whose replica dies is tried once more, unless part of its answer is out already; one that two replicas died of
is not tried a third time.
"""

from __future__ import annotations

import logging

import orjson

from headgate import errors
from headgate.clock import Clock
from headgate.gateway.call import Call, Reply, Whole
from headgate.gateway.deployment import Deployment, Moved
from headgate.gateway.dialects import speaking
from headgate.gateway.exchanges import Answer, Awaited, Exchange, NotSent, ReplicaDied, Stream
from headgate.gateway.stages.choose import Choose

logger = logging.getLogger(__name__)

_DEATHS = 2
_EVENT_STREAM = b"text/event-stream"


class CallReplica:
    """See the module. Entered last, when `call.deployment` is chosen; `choose` is asked again when that is gone."""

    def __init__(self, choose: Choose, clock: Clock) -> None:
        self._choose = choose
        self._clock = clock

    async def __call__(self, call: Call, begun: Exchange | None = None, answer: Answer | None = None) -> Reply:
        """The answer, or what comes of a stream whose beginning is there. Raises HeadgateError."""
        while True:
            try:
                if begun is None or answer is None:
                    begun, answer = await self._ask(call)
                if begun.stream is not None:
                    await _first_chunk(begun, begun.stream)
                return self.reply(call, begun, answer)
            except Moved:
                await self.again(call)
            except ReplicaDied as error:
                self.died(call, error)
                begun = None

    def died(self, call: Call, error: ReplicaDied) -> None:
        """Counts it. Raises InternalError when it is one too many."""
        _count_death(call, _deployment(call), error)

    async def again(self, call: Call) -> None:
        """The deployment is gone: another one is chosen. Raises HeadgateError."""
        await self._choose.again(call)

    def finish(self, call: Call, exchange: Exchange, answer: Answer) -> None:
        """What the answer says of times."""
        call.queue_ms = (exchange.sent_s - call.arrived_s) * 1000.0 + answer.queue_us / 1000.0
        call.execute_ms = answer.execute_us / 1000.0

    def reply(self, call: Call, exchange: Exchange, answer: Answer) -> Reply:
        """The answer as a reply."""
        self.finish(call, exchange, answer)
        headers = [(b"content-type", answer.content_type), _deployment(call).served_header, *call.headers]
        dialect = call.dialect
        if exchange.stream is None:
            body = answer.body
            if dialect is not None and answer.status == 200:
                body = speaking.whole(dialect, body)
            return Reply(answer.status, headers, Whole(body), len(body))
        headers.append((b"cache-control", b"no-cache"))
        forwarded = _Forwarded(call, exchange, exchange.stream, answer.content_type)
        if dialect is None or not answer.content_type.startswith(_EVENT_STREAM):
            return Reply(answer.status, headers, forwarded)
        return Reply(answer.status, headers, speaking.Spoken(call, dialect, forwarded))

    async def _ask(self, call: Call) -> tuple[Exchange, Answer]:
        """Raises Moved, ReplicaDied, TooManyRequests, DeadlineExceeded."""
        deployment = _deployment(call)
        while True:
            connection = deployment.take() or await deployment.wait(call)
            exchange = Awaited(call)
            try:
                connection.ask(exchange, self._clock.monotonic_s())
            except NotSent:
                deployment.release(connection)
                continue
            try:
                return exchange, await exchange.answered
            except BaseException:
                exchange.abandon()
                raise
            finally:
                # What was raised knows this frame: knew the frame the exchange, which knows the error, its body would stay until the next collection.
                del exchange


async def _first_chunk(exchange: Exchange, stream: Stream) -> None:
    try:
        await stream.begun()
    except BaseException:
        exchange.abandon()
        raise


def _deployment(call: Call) -> Deployment:
    assert call.deployment is not None, "chosen by the step before"
    return call.deployment


def _count_death(call: Call, deployment: Deployment, error: ReplicaDied) -> None:
    """Raises InternalError when it is one too many."""
    call.deaths += 1
    deployment.series.deaths.add()
    logger.warning("replica %s died while it had request %s (%s)", error.replica_id, call.request_id, error)
    if call.deaths >= _DEATHS:
        raise errors.InternalError(
            f"Request {call.request_id} was not answered: the replicas of served entity {call.entity.name} that had it died "
            f"({call.deaths} of {call.deaths}). It was not tried again. See the served entity's logs."
        )


class _Forwarded:
    """A stream as it comes from the replica; when it breaks, an event that says so is its last."""

    __slots__ = ("_call", "_content_type", "_exchange", "_stream")

    def __init__(self, call: Call, exchange: Exchange, stream: Stream, content_type: bytes) -> None:
        self._call = call
        self._exchange = exchange
        self._stream = stream
        self._content_type = content_type

    def __aiter__(self) -> _Forwarded:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._stream.__anext__()
        except ReplicaDied:
            self._call.failure = errors.InternalError.http_status
            message = f"The replica died while it streamed the answer to request {self._call.request_id}. Try again."
        except errors.HeadgateError as error:
            self._call.failure = error.http_status
            message = error.message
        if not self._content_type.startswith(_EVENT_STREAM):
            raise BrokenStream(message)
        return b"data: " + orjson.dumps({"error": {"message": message}}) + b"\n\n"

    async def aclose(self) -> None:
        self._exchange.abandon()


class BrokenStream(Exception):
    """A stream that is not made of events broke: its connection is cut, so that nobody takes it for complete."""
