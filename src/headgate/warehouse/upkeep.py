"""Keeps tables small and fast: small files into large ones, old days away, files nobody needs off the disk. One process at a time.

Each of it is a commit of its own. Readers go on with the version they have; its files stay for `vacuum_s` more.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone

from headgate.clock import Clock
from headgate.telemetry import metrics
from headgate.telemetry.counting import Metrics
from headgate.warehouse.tables import places
from headgate.warehouse.tables.delta import Tables, TableTrouble
from headgate.warehouse.tables.places import TableName

logger = logging.getLogger(__name__)


class Upkeep:
    """`round` does all tables once; `start` and `stop` do so in a thread."""

    def __init__(
        self, tables: Tables, names: Callable[[], Iterable[TableName]], clock: Clock, counted: Metrics
    ) -> None:
        """`names`: all tables there are, or those that this process is to look after."""
        self._tables, self._names, self._clock = tables, names, clock
        self._settings = tables.settings
        self._failures = counted.number(metrics.LOAD_FAILURES, "upkeep")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="warehouse upkeep", daemon=True)

    def start(self) -> None:
        """Does nothing when upkeep is switched off."""
        if self._settings.upkeep_s > 0:
            self._thread.start()

    def stop(self) -> None:
        """After the table it is at. Blocks."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def round(self) -> None:
        """All tables once. What fails is logged, and tried again with the next round."""
        for name in self._names():
            if self._stopping.is_set():
                return
            for work in (self._forget, self._compact, self._tables.vacuum):
                try:
                    work(name)
                except TableTrouble as error:
                    self._failures.add()
                    logger.warning("%s was not looked after: %s", name, error)

    def _compact(self, name: TableName) -> None:
        self._tables.compact(name, self._now().date())

    def _forget(self, name: TableName) -> None:
        if name == places.SERVED_ENTITIES:
            return
        usage = name == places.ENDPOINT_USAGE
        kept_s = self._settings.usage_retention_s if usage else self._settings.payload_retention_s
        if kept_s > 0:
            self._tables.forget_before(name, (self._now() - timedelta(seconds=kept_s)).date())

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now_ms() / 1000, timezone.utc)

    def _run(self) -> None:
        while not self._stopping.wait(self._settings.upkeep_s):
            self.round()
