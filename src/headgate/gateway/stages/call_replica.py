"""Last stage: a slot of a replica, the request over its link, the answer back.

A request whose replica dies is tried once more, unless part of its answer is out already; one that two replicas died of
is not tried a third time.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import orjson

from headgate import errors
from headgate.clock import Clock
from headgate.gateway.call import Call, Reply, Whole
from headgate.gateway.deployment import Deployment
from headgate.gateway.exchanges import Answer, Exchange, NotSent, ReplicaDied, Stream
from headgate.gateway.links import Connection

logger = logging.getLogger(__name__)

_DEATHS = 2
_EVENT_STREAM = b"text/event-stream"


class CallReplica:
    """See the module. `call.deployment` must be chosen."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def __call__(self, call: Call, next: Callable[[Call], Awaitable[Reply]]) -> Reply:
        deployment = call.deployment
        assert deployment is not None, "chosen by the stage before"
        while True:
            connection = deployment.take() or await deployment.wait(call)
            sent_s = self._clock.monotonic_s()
            try:
                answer = await _ask(connection, call)
            except NotSent:
                deployment.release(connection)
            except ReplicaDied as error:
                _count_death(call, deployment, error)
            else:
                call.queue_ms = (sent_s - call.arrived_s) * 1000.0 + answer.queue_us / 1000.0
                call.execute_ms = answer.execute_us / 1000.0
                return _reply(call, deployment, answer)


async def _ask(connection: Connection, call: Call) -> Answer:
    """Sends it and waits for the answer, or for a stream's first chunk. Raises NotSent, ReplicaDied, DeadlineExceeded."""
    exchange = connection.ask(call)
    try:
        answer = await exchange.answered
        if answer.stream is not None:
            await answer.stream.begun()
        return answer
    except BaseException:
        exchange.abandon()
        raise


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


def _reply(call: Call, deployment: Deployment, answer: Answer) -> Reply:
    headers = [(b"content-type", answer.content_type), deployment.served_header]
    if answer.stream is None:
        return Reply(answer.status, headers, Whole(answer.body), len(answer.body))
    headers.append((b"cache-control", b"no-cache"))
    return Reply(answer.status, headers, _Forwarded(call, answer.exchange, answer.stream, answer.content_type))


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
