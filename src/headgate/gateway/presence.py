"""Tells the store which routing table this server process uses: at once after every swap, and every two seconds.

Whoever waits for an update is told that it is over when no server has an older table any more. Written in a thread, and may
fail: requests do not wait for it, and a server that is not heard of is soon not waited for.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from headgate.clock import within
from headgate.gateway.switchboard import Switchboard
from headgate.telemetry import metrics
from headgate.telemetry.counting import Metrics

logger = logging.getLogger(__name__)

REPEAT_S = 2.0
"""A row counts for `store.servers.FRESH_MS`: this and one poll of the switchboard must fit in."""


@dataclass(frozen=True, slots=True)
class ServerRow:
    """This server's row in the store. Both calls block and may raise anything."""

    write: Callable[[int, int], None]
    """`Servers.report`: (routing revision, when it was the newest in ms)."""
    remove: Callable[[], None]
    """`Servers.remove`."""


class Presence:
    """Keeps the row up to date: `report` before the first request, `run`, and `leave` at the end."""

    def __init__(self, switchboard: Switchboard, row: ServerRow, counted: Metrics) -> None:
        self._switchboard = switchboard
        self._row = row
        self._failures = counted.number(metrics.REPORT_FAILURES)
        self._swapped = asyncio.Event()
        self._reported = (-1, 0)
        self._last_word = threading.Lock()
        self._gone = False

    def hint(self) -> None:
        """The table was swapped: report now."""
        self._swapped.set()

    async def run(self) -> None:
        """Reports until cancelled."""
        while True:
            try:
                await within(REPEAT_S, self._swapped.wait())
            except asyncio.TimeoutError:
                pass
            self._swapped.clear()
            await self.report()

    async def report(self) -> None:
        """One report, of the last time the store could be asked. Never raises; what was not written is written next time."""
        current = (self._switchboard.table.revision, self._switchboard.seen_at_ms)
        if current == self._reported or not self._switchboard.loaded:
            return
        if await self._tell(lambda: self._row.write(*current)):
            self._reported = current

    async def leave(self) -> None:
        """Removes the row; nothing is written after it. Never raises."""
        await self._tell(self._row.remove, last=True)

    async def _tell(self, say: Callable[[], None], *, last: bool = False) -> bool:
        try:
            await asyncio.to_thread(self._say, say, last)
        except Exception as error:  # noqa: BLE001 - whatever ails the store, requests go on
            self._failures.add()
            logger.warning("the store was not told of this server's routing table: %s", error)
            return False
        return True

    def _say(self, say: Callable[[], None], last: bool) -> None:
        # A cancelled task leaves its thread behind, which must not write the row again.
        with self._last_word:
            if not self._gone:
                self._gone = last
                say()
