"""Writes the audit log. The REST door asks it around every change, and both doors tell it of refusals.

A change is written down twice: that it begins, before anything is done, and what became of it, before it is answered. So there is no change
without a row, however the process ends, and none is made when it cannot be written down (docs/decisions/0090). Refusals change nothing:
they wait in a bounded queue for a thread that writes them together.
"""

from __future__ import annotations

import dataclasses
import logging
import queue
import threading
from collections import Counter
from collections.abc import Iterable, Iterator

from headgate import errors
from headgate.clock import Clock
from headgate.domain.audit import BEGUN, DONE, AuditEvent, AuditFilter, AuditPlace
from headgate.store.audit import AuditEvents
from headgate.telemetry import metrics
from headgate.telemetry.counting import Metrics

logger = logging.getLogger(__name__)

QUEUED_EVENTS = 4096
"""Refusals that may wait to be written; more are counted and dropped."""
ROWS_AT_ONCE = 200
"""Different refusals written together; more of one moment are counted and dropped, so that nobody fills the disk by guessing."""
PAUSE_S = 0.5
"""Between two writings: what is alike meanwhile becomes one row."""
ROWS_AN_HOUR = 3600
"""Refusals of one caller, and of all unknown ones together, that are written down one by one; more are a number in a row a minute, so
that nobody fills the disk by being refused in ever new ways."""
HOUR_S = 3600.0
MINUTE_S = 60.0
PRUNE_S = 3600.0


class AuditLog:
    """One per process, thread-safe. `start` after making it, `stop` writes what still waits."""

    def __init__(self, events: AuditEvents, clock: Clock, retention_s: float, counted: Metrics) -> None:
        self._events = events
        self._clock = clock
        self._retention_ms = int(retention_s * 1000)
        self._dropped = counted.number(metrics.AUDIT_DROPPED)
        self._failures = counted.number(metrics.AUDIT_FAILURES)
        self._waiting: queue.Queue[AuditEvent] = queue.Queue(QUEUED_EVENTS)
        self._frugal = _Frugal(clock)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit log", daemon=True)

    def begin(self, event: AuditEvent) -> None:
        """A change is about to be made. Blocks. Raises TemporarilyUnavailable: then it must not be made."""
        try:
            self._events.add([dataclasses.replace(event, outcome=BEGUN)])
        except Exception as error:  # whatever ails the store
            self._failures.add()
            logger.error("a change was refused since it cannot be written into the audit log: %s", error)
            raise errors.TemporarilyUnavailable(
                "This cannot be done now, since it cannot be written into the audit log. Nothing was changed; try again in a moment.",
                headers={"retry-after": "1"},
            ) from error

    def finish(self, event: AuditEvent) -> None:
        """What became of it. Blocks; never raises: that it was begun is written down already."""
        try:
            self._events.finish(event)
        except Exception as error:  # noqa: BLE001 - as above
            self._failures.add()
            logger.error("what became of %s %s is not in the audit log: %s", event.method, event.path, error)

    def note(self, event: AuditEvent) -> None:
        """Something that changed nothing: an access was refused. Never blocks or raises."""
        try:
            self._waiting.put_nowait(event)
        except queue.Full:
            self._dropped.add()

    def search(self, wanted: AuditFilter, limit: int, after: AuditPlace | None = None) -> list[AuditEvent]:
        """The newest first, after a place; with those that this process has yet to write."""
        self.write_waiting()
        return self._events.search(wanted, limit, after)

    def start(self) -> None:
        """Begins to write what waits."""
        self._thread.start()

    def stop(self, deadline_s: float = 5.0) -> None:
        """Writes what waits and ends."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(deadline_s)

    def write_waiting(self, *, last: bool = False) -> None:
        """Writes the refusals there are, alike ones as one row. Those that cannot be written are dropped and counted."""
        together: dict[AuditEvent, AuditEvent] = {}
        for event in self._taken():
            key = dataclasses.replace(event, event_id="", event_time_ms=0, request_id="", count=1)
            known = together.get(key)
            if known is not None:
                together[key] = dataclasses.replace(known, count=known.count + event.count)
            elif len(together) < ROWS_AT_ONCE:
                together[key] = event
            else:
                self._dropped.add()
        rows = self._frugal.kept(together.values(), last=last)
        if not rows:
            return
        try:
            self._events.add(rows)
        except Exception as error:  # noqa: BLE001 - as above
            self._failures.add()
            self._dropped.add(sum(event.count for event in rows))
            logger.error("refused accesses are not in the audit log: %s", error)

    def _taken(self) -> Iterator[AuditEvent]:
        for _ in range(self._waiting.qsize()):
            try:
                yield self._waiting.get_nowait()
            except queue.Empty:  # another thread writes them
                return

    def prune(self) -> None:
        """Forgets what is older than the retention."""
        try:
            self._events.prune(self._clock.now_ms() - self._retention_ms)
        except Exception as error:  # noqa: BLE001 - the next time will do
            self._failures.add()
            logger.error("old events of the audit log cannot be deleted: %s", error)

    def _run(self) -> None:
        pruned_s = None
        while not self._stopping.wait(PAUSE_S):
            self.write_waiting()
            now_s = self._clock.monotonic_s()
            if pruned_s is None or now_s - pruned_s > PRUNE_S:
                pruned_s = now_s
                self.prune()
        self.write_waiting(last=True)


class _Frugal:
    """Of what is refused too often, how often. Thread-safe; bounded by the number of callers that there are."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._hour_s = self._minute_s = clock.monotonic_s()
        self._rows: Counter[str] = Counter()
        """By caller, in this hour."""
        self._more: dict[AuditEvent, AuditEvent] = {}

    def kept(self, events: Iterable[AuditEvent], *, last: bool) -> list[AuditEvent]:
        """Those to be written, and once a minute, and at the `last`, what stands for the others."""
        with self._lock:
            now_s = self._clock.monotonic_s()
            if now_s - self._hour_s >= HOUR_S:
                self._rows.clear()
                self._hour_s = now_s
            found = [event for event in events if self._has_room(event)]
            if last or now_s - self._minute_s >= MINUTE_S:
                found += self._more.values()
                self._more.clear()
                self._minute_s = now_s
            return found

    def _has_room(self, event: AuditEvent) -> bool:
        self._rows[event.principal_id] += 1
        if event.outcome == DONE or self._rows[event.principal_id] <= ROWS_AN_HOUR:
            return True
        same = dataclasses.replace(
            event, event_id="", event_time_ms=0, method="", path="", source_ip_address="", user_agent="",
            service_name="", action_name="", object="", request_id="", count=1,
        )  # fmt: skip
        known = self._more.setdefault(
            same, dataclasses.replace(same, event_id=event.event_id, event_time_ms=event.event_time_ms, count=0)
        )
        self._more[same] = dataclasses.replace(known, count=known.count + event.count)
        return False
