"""One answer on its way in: its head, then pieces of its body, each handed on as soon as it is there. Fed by `connection`, read by a gateway's step.

Holds at most a bound of what nobody has taken yet, then the vendor has to wait. One timer watches over all its deadlines.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from headgate.upstream.port import GARBAGE, LOST, TIMEOUT, Patience, UpstreamFailed

if TYPE_CHECKING:
    from headgate.upstream.connection import Connection

_TOO_LONG = "The provider's answer is too long."
HELD_BYTES = 256 * 1024
"""Of a stream whose reader is slow; then no more is read from its connection."""
MOST_PIECES = 1024
"""So many pieces of a whole answer become one: a piece of a byte takes forty."""


class Answer:
    """`port.Response`. Ends itself, and frees its connection, once it is complete, failed, or closed."""

    __slots__ = (
        "_began", "_connection", "_counted", "_deadline_s", "_error", "_held", "_joined", "_loop", "_most_bytes", "_patience", "_paused", "_pieces", "_sent_s",
        "_size", "_timer", "_waiter", "_whole", "complete", "headed", "headers", "heard_s", "status",
    )  # fmt: skip

    def __init__(self, connection: Connection, patience: Patience, deadline_s: float) -> None:
        """`deadline_s`: of the loop's clock, when all of it must be there."""
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.headed = False
        self.complete = False
        self._connection = connection
        self._most_bytes = connection.terms.answer_bytes
        self._loop = connection.terms.loop
        self._patience = patience
        self._deadline_s = deadline_s
        self._pieces: list[bytes] = []
        self._joined = 0
        """So many of the pieces are long ones."""
        self._held = 0
        self._size = 0
        self._whole = False
        self._paused = False
        self._began = False
        self._counted = False
        self._error: UpstreamFailed | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._sent_s = self.heard_s = self._loop.time()
        """`heard_s`: when the vendor last said anything."""
        due_s = min(self._sent_s + patience.first_byte_s, deadline_s)
        self._timer: asyncio.TimerHandle | None = self._loop.call_at(due_s, self._on_time)

    async def head(self) -> Answer:
        """Itself, once its head is there. Raises UpstreamFailed."""
        while not self.headed and self._error is None:
            await self._wait()
        if self._error is not None:
            raise _again(self._error)
        return self

    async def body(self) -> bytes:
        self._whole = True
        self._resume()
        while not self.complete and self._error is None and self._held <= self._most_bytes:
            await self._wait()
        if self._held > self._most_bytes:
            self.fail(GARBAGE, _TOO_LONG)
            raise self._told(self._error or UpstreamFailed(GARBAGE, _TOO_LONG))
        if self._error is not None:
            raise self._told(self._error)
        return self._take()

    async def chunk(self) -> bytes:
        while not self._pieces and not self.complete and self._error is None:
            await self._wait()
        if self._pieces:
            taken = self._take()
            self._resume()
            return taken
        if self._error is not None:
            raise self._told(self._error)
        return b""

    def close(self) -> None:
        if not self.complete and self._error is None:
            self.fail(LOST, "Nobody reads this answer any more.")

    def on_head(self) -> None:
        """Status and headers are set."""
        self.headed = True
        self._wake()

    def on_piece(self, piece: bytes) -> None:
        """More of the body."""
        self._pieces.append(piece)
        self._held += len(piece)
        if self._whole:
            if len(self._pieces) >= self._joined + MOST_PIECES:
                self._pieces[self._joined :] = [b"".join(self._pieces[self._joined :])]
                self._joined += 1
            if self._held > self._most_bytes:
                self._wake()
            return
        self._wake()
        if self._held > HELD_BYTES and not self._paused:
            self._paused = True
            self._connection.pause()

    def on_read(self, now_s: float) -> None:
        """All of one read is fed, and it was not the end: from the first byte of its body on, silence is what ends it."""
        self.heard_s = now_s
        if not self._began and self._pieces:
            self._began = True
            self._watch(now_s + self._patience.idle_s)

    def end(self) -> None:
        """It is complete."""
        self.complete = True
        self._settle()

    def fail(self, kind: str, message: str) -> None:
        """There will be no more of it. Does nothing when it is over."""
        if not self.complete and self._error is None:
            self._error = UpstreamFailed(kind, message)
            self._settle()
            self._connection.drop()

    def _told(self, error: UpstreamFailed) -> UpstreamFailed:
        """Counted once, when its reader hears of it: what nobody read on for is no failure. Before the head is there `client` counts."""
        if not self._counted:
            self._counted = True
            self._connection.terms.failed(error.kind)
        return _again(error)

    def _settle(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._wake()

    def _take(self) -> bytes:
        pieces = self._pieces
        taken = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._held = self._joined = 0
        return taken

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            self.heard_s = self._loop.time()
            if not self.complete and self._error is None:
                self._connection.resume()

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        except BaseException:
            self.close()
            raise
        finally:
            self._waiter = None

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _watch(self, due_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(min(due_s, self._deadline_s), self._on_time)

    def _on_time(self) -> None:
        """Fails it when something took too long, else watches on: every piece moves the deadline, no piece moves the timer."""
        now_s, patience = self._loop.time(), self._patience
        self._timer = None
        if now_s >= self._deadline_s:
            self.fail(TIMEOUT, patience.overdue())
            return
        if self._began:
            due_s = now_s + patience.idle_s if self._paused else self.heard_s + patience.idle_s
            message = f"The provider said nothing for {patience.idle_s:g} s."
        else:
            due_s = self._sent_s + patience.first_byte_s
            message = f"The provider did not begin to answer within {patience.first_byte_s:g} s."
        if now_s >= due_s:
            self.fail(TIMEOUT, message)
        else:
            self._watch(due_s)


def _again(error: UpstreamFailed) -> UpstreamFailed:
    """One of its own for each who is told. What was raised knows the frames it passed, and those know the answer: it must not know the error."""
    return UpstreamFailed(error.kind, error.message)
