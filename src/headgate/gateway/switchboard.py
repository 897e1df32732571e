"""Holds the routing table in memory: immutable, swapped whole when the store's revision has grown.

Told by a notice, and looks itself every second. When the store is away the last table stays in use: requests go on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from headgate.clock import Clock, SystemClock, within
from headgate.domain.routing import RoutingTable
from headgate.telemetry import metrics
from headgate.telemetry.counting import Metrics

logger = logging.getLogger(__name__)

POLL_S = 1.0
CATCH_UP_DEADLINE_S = 1.0
_BETWEEN_LOOKS_S = 0.01
"""Least time between two looks, however many notices come."""


@dataclass(frozen=True, slots=True)
class RoutingSource:
    """Where tables come from. Both calls block and run in a thread; both may raise anything."""

    revision: Callable[[], int]
    read: Callable[[], RoutingTable]


class Switchboard:
    """See the module. `table.revision` is -1 until the first table is there."""

    def __init__(
        self,
        source: RoutingSource,
        swapped: Callable[[RoutingTable], None],
        counted: Metrics,
        clock: Clock | None = None,
    ) -> None:
        """`swapped` is told every new table, on the event loop, just before it is in use."""
        self.table = RoutingTable()
        self.seen_at_ms = 0
        """When the store was last asked with success: then, or later, `table` was the newest there is."""
        self._clock = clock or SystemClock()
        self._source = source
        self._swapped = swapped
        self._revision = counted.number(metrics.ROUTING_REVISION, counted.process)
        self._failures = counted.number(metrics.ROUTING_FAILURES)
        self._hinted = asyncio.Event()
        self._failing = False
        self._next_look: asyncio.Future[None] | None = None

    @property
    def loaded(self) -> bool:
        """Whether there is a table."""
        return self.table.revision >= 0

    def hint(self) -> None:
        """Something changed: look now."""
        self._hinted.set()

    async def catch_up(self) -> None:
        """Waits until the store was looked at once more, for a bounded time. Called when something was not found."""
        if self._next_look is None:
            self._next_look = asyncio.get_running_loop().create_future()
        self.hint()
        try:
            await within(CATCH_UP_DEADLINE_S, asyncio.shield(self._next_look))
        except asyncio.TimeoutError:
            pass  # the store is away: what is known must do

    async def run(self) -> None:
        """Follows the store until cancelled."""
        while True:
            self._hinted.clear()
            asked, self._next_look = self._next_look, None
            await self.look()
            if asked is not None:
                asked.set_result(None)
            await asyncio.sleep(_BETWEEN_LOOKS_S)
            try:
                await within(POLL_S, self._hinted.wait())
            except asyncio.TimeoutError:
                pass

    async def look(self) -> None:
        """Swaps the table when the store has a newer one. Never raises."""
        seen_at_ms = self._clock.now_ms()
        try:
            revision = await asyncio.to_thread(self._source.revision)
            if revision != self.table.revision:
                table = await asyncio.to_thread(self._source.read)
                self._swapped(table)
                self.table = table
                self._revision.set(table.revision)
        except Exception as error:  # whatever ails the store, requests go on with the last table
            self._failures.add()
            if not self._failing:
                self._failing = True
                logger.exception("the routing table cannot be read (%s); the last one stays in use", error)
            return
        self.seen_at_ms = seen_at_ms
        if self._failing:
            self._failing = False
            logger.info("the routing table can be read again")
