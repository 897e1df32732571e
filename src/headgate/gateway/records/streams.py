"""A stream on its way to a client whose request becomes a record: what went out is kept, and its end waits until the record is written."""

from __future__ import annotations

import re
from typing import Protocol

from headgate import errors
from headgate.gateway.call import Call, Chunks, Reply
from headgate.gateway.dialects import choosing
from headgate.gateway.records.making import Outcome
from headgate.gateway.stages.call_replica import BrokenStream

CLIENT_LEFT = 499
_EVENT_STREAM = b"text/event-stream"
_LAST = b"data: [DONE]"
_LAST_TYPED = re.compile(rb'"type": ?"(?:message_stop|response\.(?:completed|incomplete|failed))"')
"""What clients take for the end, although more may come."""


class Ending(Protocol):
    """Takes what became of a stream, once."""

    async def write(self, call: Call, outcome: Outcome) -> None:
        """Returns once it is written. Raises HeadgateError when it could not be, and must be."""
        ...

    def put(self, call: Call, outcome: Outcome) -> None:
        """Does not wait."""
        ...

    def now_s(self) -> float:
        """`clock.monotonic_s`."""
        ...


class KeptStream:
    """The same chunks. References to them are kept, up to a size; none waits but the last."""

    __slots__ = ("_call", "_chunks", "_ending", "_events", "_kept", "_left_bytes", "_over", "_status")

    def __init__(self, call: Call, reply: Reply, ending: Ending, most_bytes: int) -> None:
        """`most_bytes` of it are kept; 0: nobody wants any."""
        self._call, self._ending = call, ending
        # Not the reply, which is about to know this stream.
        self._chunks: Chunks = reply.chunks
        self._status = reply.status
        self._events = dict(reply.headers).get(b"content-type", b"").startswith(_EVENT_STREAM)
        self._kept: list[bytes] = []
        self._left_bytes = most_bytes
        self._over = False

    def __aiter__(self) -> KeptStream:
        return self

    async def __anext__(self) -> bytes:
        if self._over:
            raise StopAsyncIteration
        try:
            chunk = await self._chunks.__anext__()
        except StopAsyncIteration:
            await self._end(b"")
            raise
        self._keep(chunk)
        # Looked for in every piece: two plain searches cost a fifth of one pattern for both.
        if _LAST not in chunk and (b'"type"' not in chunk or _LAST_TYPED.search(chunk) is None):
            return chunk
        try:
            following = await self._chunks.__anext__()
        except StopAsyncIteration:
            return await self._end(chunk)
        self._keep(following)
        return chunk + following

    async def aclose(self) -> None:
        try:
            await self._chunks.aclose()  # tells what was used until now
        finally:
            if self._call.kept:
                self._ending.put(self._call, self._outcome(self._call.failure or CLIENT_LEFT))

    def _keep(self, chunk: bytes) -> None:
        if not self._call.first_byte_s:
            self._call.first_byte_s = self._ending.now_s()
        self._left_bytes -= len(chunk)
        if self._left_bytes >= 0:
            self._kept.append(chunk)
        else:
            self._kept.clear()

    async def _end(self, last: bytes) -> bytes:
        """What may leave last: `last`, or why there is no end."""
        self._over = True
        try:
            await self._ending.write(self._call, self._outcome(0))
        except errors.HeadgateError as error:
            self._call.failure = error.http_status
            if not self._events:
                raise BrokenStream(error.message) from error
            return choosing.of(self._call).stream().failed(error)
        return last

    def _outcome(self, status: int) -> Outcome:
        """With a status when it did not come to its end."""
        call = self._call
        body = b"".join(self._kept) if self._left_bytes >= 0 else None
        broken = bool(status or call.failure)
        return Outcome(status or call.failure or self._status, body, too_large=body is None, complete=not broken)
