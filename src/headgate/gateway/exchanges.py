"""One request on a link and what comes back: an `Answer`, or a `Stream` of chunks.

Fed by `links`. `direct` is told at once what came; the step `call_replica` awaits it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from headgate import errors
from headgate.gateway.call import Call

if TYPE_CHECKING:
    from headgate.gateway.links import Connection

STREAM_BUFFER_BYTES = 16 * 1024**2
"""Chunks a client has not taken yet. One that lets more pile up is cut off: the link is shared, so nobody else may wait for it."""

OVERDUE = "Request processing time exceeded limit"
"""Databricks' own words."""


class ReplicaDied(Exception):
    """The link was lost while the replica had the request."""

    def __init__(self, replica_id: str, why: str) -> None:
        super().__init__(why)
        self.replica_id = replica_id


class NotSent(Exception):
    """The link was lost before the request was written: no replica has seen it."""


class Answer(NamedTuple):
    """A worker's answer, not parsed."""

    status: int
    content_type: bytes
    queue_us: float
    """Waiting inside the worker."""
    execute_us: float
    body: bytes
    """Empty when the answer is streamed, see `Exchange.stream`."""


class Exchange:
    """One request that a replica has and has not answered completely. Subclasses say what becomes of its answer.

    Either `replied` or `failed` is called, once, unless it was abandoned.
    """

    __slots__ = ("call", "connection", "number", "sent_s", "stream")

    def __init__(self, call: Call) -> None:
        self.call = call
        self.connection: Connection | None = None
        """Who has it; None before it is sent."""
        self.number = 0
        self.sent_s = 0.0
        self.stream: Stream | None = None

    def replied(self, answer: Answer) -> None:
        """The answer, or the beginning of one whose body comes through `stream`."""
        raise NotImplementedError

    def failed(self, error: Exception) -> None:
        """There will be none."""
        raise NotImplementedError

    def abandon(self) -> None:
        """Nobody waits for it any more. Does nothing once it is complete."""
        if self.connection is not None:
            self.connection.abandon(self)

    def fail(self, error: Exception) -> None:
        """It will not be answered (completely)."""
        if self.stream is not None:
            self.stream.end(error)
        else:
            self.failed(error)

    def expire(self) -> None:
        """It took longer than it may."""
        self.fail(errors.DeadlineExceeded(OVERDUE))
        self.abandon()


class Awaited(Exchange):
    """An exchange somebody awaits."""

    __slots__ = ("answered",)

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self.answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def replied(self, answer: Answer) -> None:
        if not self.answered.done():
            self.answered.set_result(answer)

    def failed(self, error: Exception) -> None:
        if not self.answered.done():
            self.answered.set_exception(error)
            self.answered.exception()  # whoever waited may just have left


class Stream:
    """Chunks on their way to one client. Everything that has piled up is handed out in one piece."""

    __slots__ = ("_chunks", "_ended", "_error", "_loop", "_waiter", "size")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._chunks: deque[bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._ended = False
        self._error: Exception | None = None
        self.size = 0
        """Bytes not taken yet."""

    def feed(self, chunk: bytes) -> None:
        """One more from the replica."""
        self._chunks.append(chunk)
        self.size += len(chunk)
        self._wake()

    def end(self, error: Exception | None = None) -> None:
        """No more will come; with `error`, because it broke."""
        if not self._ended:
            self._ended, self._error = True, error
            self._wake()

    async def begun(self) -> None:
        """Until there is a chunk or the end. Raises what broke it before its first chunk."""
        if not self._chunks and not self._ended:
            await self._wait()
        if not self._chunks and self._error is not None:
            raise self._why()

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> bytes:
        if not self._chunks and not self._ended:
            await self._wait()
        if self._chunks:
            piece = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
            self._chunks.clear()
            self.size = 0
            return piece
        raise self._why()

    async def aclose(self) -> None:
        self.end()

    def _why(self) -> Exception:
        """Why there is nothing more. What is raised knows the frames it passes, and they know this stream: it must not know the error, nor may they."""
        error, self._error = self._error, None
        return error or StopAsyncIteration()

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
