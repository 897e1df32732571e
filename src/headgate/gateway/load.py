"""Tells control what goes on: load per deployment at regular times, demand for sleeping ones when a request waits.

Both are written in a thread and may fail: requests do not wait for them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from headgate.clock import Clock
from headgate.gateway.capacity import Capacity
from headgate.store.activity import Load
from headgate.telemetry import metrics
from headgate.telemetry.counting import Metrics

logger = logging.getLogger(__name__)

REPEAT_S = 2.0
"""Requests that go on are reported this often even when nothing changes: control takes old reports for those of a dead server."""


class LoadReporter:
    """Writes `Load` rows of the deployments whose numbers changed."""

    def __init__(
        self, capacity: Capacity, write: Callable[[list[Load], int], None], clock: Clock, counted: Metrics
    ) -> None:
        """`write(loads, now_ms)` blocks and may raise anything."""
        self._capacity = capacity
        self._write = write
        self._clock = clock
        self._failures = counted.number(metrics.REPORT_FAILURES)
        self._reported: dict[str, tuple[Load, float]] = {}

    async def run(self, every_s: float) -> None:
        """Reports until cancelled."""
        while True:
            await asyncio.sleep(every_s)
            await self.report()

    async def report(self) -> None:
        """One report. Never raises; what could not be written is written next time."""
        now_s = self._clock.monotonic_s()
        for deployment in self._capacity.all():
            deployment.measure()
        loads = [load for load in self._loads() if self._is_due(load, now_s)]
        if not loads:
            return
        try:
            await asyncio.to_thread(self._write, loads, self._clock.now_ms())
        except Exception as error:  # noqa: BLE001 - whatever ails the store, requests go on
            self._failures.add()
            logger.warning("load was not reported: %s", error)
            return
        self._reported.update((load.deployment_key, (load, now_s)) for load in loads)

    def _loads(self) -> list[Load]:
        found = [
            Load(deployment.key, deployment.in_flight, deployment.queued, deployment.last_request_at_ms)
            for deployment in self._capacity.all()
            if deployment.last_request_at_ms
        ]
        known = {load.deployment_key for load in found}
        self._reported = {key: value for key, value in self._reported.items() if key in known}
        return found

    def _is_due(self, load: Load, now_s: float) -> bool:
        before, at_s = self._reported.get(load.deployment_key, (None, 0.0))
        busy = load.in_flight or load.queued
        return load != before or bool(busy and now_s - at_s >= REPEAT_S)


class DemandWriter:
    """Writes demand rows, one after the other; a deployment that is asked for twice meanwhile is written once."""

    def __init__(self, write: Callable[[str, str, int], None], clock: Clock, counted: Metrics) -> None:
        """`write(endpoint_id, deployment_key, now_ms)` blocks and may raise anything."""
        self._write = write
        self._clock = clock
        self._failures = counted.number(metrics.REPORT_FAILURES)
        self._asked: dict[tuple[str, str], None] = {}
        self._wake = asyncio.Event()

    def ask(self, endpoint_id: str, deployment_key: str) -> None:
        """A request waits for this deployment. Returns at once."""
        self._asked[endpoint_id, deployment_key] = None
        self._wake.set()

    async def run(self) -> None:
        """Writes until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._asked:
                asked = next(iter(self._asked))
                del self._asked[asked]
                try:
                    await asyncio.to_thread(self._write, *asked, self._clock.now_ms())
                except Exception as error:  # noqa: BLE001 - it is asked for again as long as a request waits
                    self._failures.add()
                    logger.warning("the demand for deployment %s was not written: %s", asked[1], error)
