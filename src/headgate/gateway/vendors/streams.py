"""A vendor's stream on its way to the client: vendor's chunk → reader → guardrails → the client's dialect, nothing copied that need not be.

Made by `attempts`, which has it look for first content (`begin`) while another entity could still take over; from then on it is the answer's chunks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from headgate.clock import Clock, within
from headgate.gateway.call import Call
from headgate.gateway.dialects.port import StreamWriter
from headgate.gateway.guarding import GuardedStream
from headgate.gateway.vendors import judging
from headgate.gateway.vendors.judging import Failed
from headgate.providers.port import Credential, StreamReader, Target, VendorFailure
from headgate.upstream import port as upstream
from headgate.upstream.port import Response, UpstreamFailed

_DRAIN_S = 1.0
"""What may still follow a stream that is complete: the last bytes of its framing. The connection is used again once they are there."""
_MOST_HELD_BYTES = 1024 * 1024
"""Of a stream without content; then it goes on as it is."""
_NO_CONTENT = "The provider began to answer, and said nothing in time."


@dataclass(frozen=True, slots=True)
class Parts:
    """What one stream is made from."""

    response: Response
    reader: StreamReader
    writer: StreamWriter
    guarded: GuardedStream | None
    target: Target
    credential: Credential | None


@dataclass(frozen=True, slots=True)
class Ending:
    """What became of a stream: nothing, a failure, or nobody waited for it any more."""

    failed: Failed | None = None
    left: bool = False


@dataclass(frozen=True, slots=True)
class Ground:
    """What all streams share."""

    clock: Clock
    own: Callable[[Coroutine[Any, Any, None]], object]
    """Runs this as a task, and keeps it until it is done."""


class VendorStream:
    """See `call.Chunks`. `ended` is told once what became of it."""

    __slots__ = ("_call", "_ended", "_ground", "_held", "_held_bytes", "_over", "_parts", "_told")

    def __init__(self, call: Call, parts: Parts, ground: Ground, ended: Callable[[Ending], None]) -> None:
        self._call = call
        self._parts = parts
        self._ground = ground
        self._ended = ended
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._over = False
        """Nothing more comes of the vendor."""
        self._told = False

    async def begin(self, first_content_s: float) -> None:
        """Waits for the first content, at most so long. Raises Failed when the stream ends or fails before: nothing has left yet."""
        deadline_s = self._ground.clock.monotonic_s() + first_content_s
        reader = self._parts.reader
        began = False
        while not (reader.first_content or reader.complete or self._held_bytes > _MOST_HELD_BYTES):
            try:
                # Until its first byte the client of vendors itself watches the time.
                events = await (
                    within(deadline_s - self._ground.clock.monotonic_s(), self._next()) if began else self._next()
                )
                began = True
            except asyncio.TimeoutError:
                raise judging.unreached(UpstreamFailed(upstream.TIMEOUT, _NO_CONTENT)) from None
            except UpstreamFailed as error:
                raise judging.unreached(error) from None
            if reader.failure is not None:
                raise self._broken(reader.failure)
            self._held += events
            self._held_bytes += sum(map(len, events))

    def __aiter__(self) -> VendorStream:
        return self

    async def __anext__(self) -> bytes:
        held, self._held = self._held, []
        if held and (chunk := await self._written(held)):
            return self._first(chunk)
        while not self._told:
            chunk = await self._more()
            if chunk:
                return self._first(chunk)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """The client is gone, or has everything."""
        if self._told:
            return
        reader = self._parts.reader
        if not reader.complete:
            # What it would say interests nobody any more; it may still count.
            self._end()
        self._over = True
        self._parts.response.close()
        self._tell(Ending(left=True))

    async def _more(self) -> bytes:
        """The next chunk, empty while nothing of it may leave."""
        reader = self._parts.reader
        if self._over or reader.complete:
            return await self._rest()
        try:
            events = await self._next()
        except UpstreamFailed as error:
            events = self._end()
            self._over = True
            if reader.complete:
                return await self._written(events)
            return await self._failed(events[:-1], judging.unreached(error))
        if reader.failure is not None:
            return await self._failed(events[:-1], self._broken(reader.failure))
        return await self._written(events) if events else b""

    async def _next(self) -> list[bytes]:
        """Events of the middle language; the last one is an error when the reader has failed."""
        chunk = await self._parts.response.chunk()
        self._over = not chunk
        try:
            return self._parts.reader.feed(chunk) if chunk else self._parts.reader.end()
        except judging.ODD:
            raise UpstreamFailed(upstream.GARBAGE, judging.NO_COMPLETION) from None

    def _end(self) -> list[bytes]:
        """What the reader has left to say of a stream that goes on no more."""
        try:
            return self._parts.reader.end()
        except judging.ODD:
            return []

    async def _written(self, events: list[bytes]) -> bytes:
        """What may leave of these events now, as the client reads it."""
        parts = self._parts
        guarded = parts.guarded
        if guarded is not None:
            passed = await guarded.feed(events[0] if len(events) == 1 else b"".join(events))
            if guarded.refused:
                return self._refused(passed)
            events = [passed] if passed else []
        pieces = self._said(events)
        if pieces is None:
            return await self._failed([], judging.garbage(judging.NO_COMPLETION, parts.target))
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _said(self, events: list[bytes]) -> list[bytes] | None:
        """As the client reads it; None for what its dialect has no way to say."""
        try:
            return self._parts.writer.feed(events) if events else events
        except judging.ODD:
            return None

    async def _rest(self) -> bytes:
        """The vendor is done: what guardrails held back, and the end."""
        parts = self._parts
        last = b""
        if parts.guarded is not None:
            passed = await parts.guarded.end()
            if parts.guarded.refused:
                return self._refused(passed)
            last = b"".join(self._said([passed]) or ()) if passed else b""
        if not self._over:
            self._over = True
            if not parts.response.complete:
                self._ground.own(_drained(parts.response))
        self._tell(Ending())
        return last

    def _refused(self, passed: bytes) -> bytes:
        """A guardrail ended it: nothing more is wanted of the vendor."""
        parts, call = self._parts, self._call
        refusal = None if parts.guarded is None else parts.guarded.refusal
        if not parts.reader.complete:
            self._end()
        parts.response.close()
        if refusal is not None:
            call.failure, call.error_code = refusal.http_status, refusal.error_code
        self._over = True
        self._tell(Ending(left=True))
        pieces = self._said([passed] if passed else [])
        if pieces is None:
            pieces = [] if refusal is None else [parts.writer.failed(refusal)]
        return b"".join(pieces)

    async def _failed(self, events: list[bytes], failed: Failed) -> bytes:
        """The last chunk of a stream that broke: what came until then, as far as it may leave, and what went wrong."""
        parts, call = self._parts, self._call
        parts.response.close()
        self._over = True
        if parts.guarded is not None:
            passed = await parts.guarded.feed(b"".join(events)) if events else b""
            if not parts.guarded.refused:
                passed += await parts.guarded.end()
            if parts.guarded.refused:
                return self._refused(passed)
            events = [passed] if passed else []
        call.failure = failed.error.http_status
        call.error_code = failed.error.error_code
        call.complete = False
        pieces = self._said(events) or []
        self._tell(Ending(failed))
        return b"".join([*pieces, parts.writer.failed(failed.error)])

    def _broken(self, failure: VendorFailure) -> Failed:
        return judging.broken(failure, self._parts.target, self._parts.credential)

    def _first(self, chunk: bytes) -> bytes:
        if not self._call.first_byte_s:
            self._call.first_byte_s = self._ground.clock.monotonic_s()
        return chunk

    def _tell(self, ending: Ending) -> None:
        """Once: it is over."""
        self._told = True
        call, reader = self._call, self._parts.reader
        call.usage = reader.usage or call.usage
        if ending.left:
            call.complete = False
        self._ended(ending)


async def _drained(response: Response) -> None:
    """Reads the end of the framing, so that the connection serves another request; bounded."""
    try:
        await within(_DRAIN_S, _read_on(response))
    except (UpstreamFailed, asyncio.TimeoutError):
        pass
    finally:
        response.close()


async def _read_on(response: Response) -> None:
    while await response.chunk():
        pass
