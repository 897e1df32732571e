"""One provider's share of connections: so many in use, so many requests that wait for one, what is idle. Called by `client`.

Providers share nothing here: one that hangs holds up nobody of another.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from headgate.clock import Clock
from headgate.telemetry.counting import Number
from headgate.upstream.connection import STOPPING, Connection, Terms
from headgate.upstream.port import BUSY, LOST, TIMEOUT, UpstreamFailed
from headgate.upstream.targets import Origin

IDLE_S = 45.0
"""An unused connection is closed after this time: vendors do it after a minute or later."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of one bulkhead; see the settings `providers`."""

    most: int
    most_waiting: int
    answer_bytes: int


@dataclass(frozen=True, slots=True)
class Gauges:
    """What a bulkhead counts with."""

    in_use: Number
    idle: Number
    waiting: Number
    opened: Number
    failed: Callable[[str], None]
    """Of which kind."""


class Bulkhead:
    """Requests in flight and idle connections together are at most `most`."""

    def __init__(self, bounds: Bounds, gauges: Gauges, clock: Clock) -> None:
        """Call it on the event loop that will serve."""
        self._most, self._most_waiting, self._gauges, self._clock = bounds.most, bounds.most_waiting, gauges, clock
        self.terms = Terms(asyncio.get_running_loop(), bounds.answer_bytes, self._freed, self._forget, gauges.failed)
        """For its connections."""
        self._in_use = 0
        self._busy: set[Connection] = set()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._idle: dict[Origin, list[Connection]] = {}
        self._idle_count = 0

    @property
    def empty(self) -> bool:
        """Whether nobody would miss it."""
        return not self._in_use and not self._waiting and not self._idle_count

    def enter(self) -> bool:
        """Takes a place if there is one and nobody waits for it. Who entered must `leave`."""
        if self._in_use >= self._most:
            return False
        self._in_use += 1
        self._gauges.in_use.value = self._in_use
        return True

    async def wait(self, timeout_s: float) -> None:
        """Enters in turn. Raises UpstreamFailed when the queue is full, or it takes too long."""
        if len(self._waiting) >= self._most_waiting:
            raise UpstreamFailed(BUSY, "Too many requests wait for the provider.")
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append(turn)
        self._gauges.waiting.value = len(self._waiting)
        timer = loop.call_later(timeout_s, self._expire, turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled() or not turn.done():
                self._unqueue(turn)
            else:
                self.leave()  # its turn had just come
            raise
        finally:
            timer.cancel()

    def leave(self) -> None:
        """Gives the place to who waits longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            self._gauges.waiting.value = len(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
        self._in_use -= 1
        self._gauges.in_use.value = self._in_use

    def take(self, origin: Origin) -> Connection | None:
        """The idle connection used last, for whoever has a place."""
        now_s = self._clock.monotonic_s()
        while (fitting := self._idle.get(origin)) is not None:
            connection = fitting[-1]
            self._forget(connection)
            if connection.usable and now_s - connection.idle_since_s < min(IDLE_S, connection.patience_s):
                return connection
            connection.drop()
        return None

    def make_room(self) -> None:
        """Before a new connection: an idle one to somewhere else goes if there are too many."""
        if self._in_use + self._idle_count > self._most:
            self._drop(next(self._all_idle()))

    def opened(self, connection: Connection) -> None:
        """There is a new one. Raises UpstreamFailed when nobody wants it any more."""
        self._gauges.opened.add()
        if not self._most:
            connection.drop()
            raise UpstreamFailed(LOST, STOPPING)

    def use(self, connection: Connection) -> None:
        """It has the request of somebody who entered, and leaves for it."""
        self._busy.add(connection)

    def sweep(self) -> None:
        """Closes what was idle for too long."""
        now_s = self._clock.monotonic_s()
        for connection in list(self._all_idle()):
            if now_s - connection.idle_since_s >= min(IDLE_S, connection.patience_s):
                self._drop(connection)

    def drop_idle(self, origin: Origin | None = None) -> None:
        """Closes what is idle, to `origin` or at all."""
        for connection in list(self._all_idle() if origin is None else self._idle.get(origin, ())):
            self._drop(connection)

    def close(self) -> None:
        """Closes everything; what waits, for a connection or an answer, fails."""
        self._most = self._most_waiting = 0
        self.drop_idle()
        for turn in self._waiting:
            if not turn.done():
                turn.set_exception(UpstreamFailed(LOST, STOPPING))
        self._waiting.clear()
        for connection in list(self._busy):
            connection.give_up()

    def _freed(self, connection: Connection, reusable: bool) -> None:
        self._busy.discard(connection)
        if reusable and self._most:
            connection.idle_since_s = self._clock.monotonic_s()
            fitting = self._idle.get(connection.origin)
            if fitting is None:
                fitting = self._idle[connection.origin] = []
            fitting.append(connection)
            self._idle_count += 1
            self._gauges.idle.value = self._idle_count
        self.leave()

    def _forget(self, connection: Connection) -> None:
        """It is idle no more."""
        fitting = self._idle.get(connection.origin)
        if fitting is None:
            return
        if fitting[-1] is connection:
            fitting.pop()
        elif connection in fitting:
            fitting.remove(connection)
        else:
            return
        self._idle_count -= 1
        self._gauges.idle.value = self._idle_count
        if not fitting:
            del self._idle[connection.origin]

    def _drop(self, connection: Connection) -> None:
        self._forget(connection)
        connection.drop()

    def _all_idle(self) -> Iterator[Connection]:
        for fitting in self._idle.values():
            yield from fitting

    def _unqueue(self, turn: asyncio.Future[None]) -> None:
        if turn in self._waiting:
            self._waiting.remove(turn)
            self._gauges.waiting.value = len(self._waiting)

    def _expire(self, turn: asyncio.Future[None]) -> None:
        if not turn.done():
            self._unqueue(turn)
            turn.set_exception(UpstreamFailed(TIMEOUT, "No connection to the provider became free in time."))
