"""Where a server process leaves its finished requests: a bounded queue, and a thread that appends them to a file of its own.

The gateway asks `check` before it begins a request, and awaits `written` before it lets the end of the answer go. Whoever dies after that
has lost nothing: the loader takes over the file. Nothing here waits for tables, network or database.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from headgate import errors
from headgate.clock import Clock
from headgate.domain.request_record import RequestRecord
from headgate.settings import SettingsError, WarehouseSettings
from headgate.telemetry import metrics
from headgate.telemetry.counting import Metrics
from headgate.warehouse.spool import frames, segments

logger = logging.getLogger(__name__)

DURABILITIES = ("written", "synced", "queued")
WHEN_FULL = ("drop", "refuse")
SEGMENT_BYTES = 32 * 1024**2
SEGMENT_S = 1.0
"""The loader gets a file when it is that large or that old."""
BATCH_RECORDS = 500
BATCH_BYTES = 16 * 1024**2
TROUBLE_S = 1.0
"""After a failure, requests are refused for so long before it is tried again."""
WAIT_S = 10.0
"""Nobody waits longer for a record to be written; then `when_full` decides, and it may be written all the same."""
LOG_S = 60.0
_RECORD_BYTES = 2048
"""What a record takes in memory without its bodies, roughly."""


class NotRecorded(errors.TemporarilyUnavailable):
    """The request cannot be written down, and must be by the settings."""


Told = Callable[[bool], None]
"""Hears whether a record was written, or was dropped. Must not raise."""


class _Patient:
    """Somebody who waits for a record, on an event loop, and not for ever: a disk may hang. Is told once."""

    __slots__ = ("_limit", "_told", "loop")

    def __init__(self, told: Told, overdue: Callable[[], None]) -> None:
        self.loop = asyncio.get_running_loop()
        self._told: Told | None = told
        self._limit = self.loop.call_later(WAIT_S, self._give_up, overdue)

    def tell(self, done: bool) -> None:
        told, self._told = self._told, None
        if told is not None:
            self._limit.cancel()
            told(done)

    def _give_up(self, overdue: Callable[[], None]) -> None:
        overdue()
        self.tell(False)


@dataclass(slots=True)
class _Waiting:
    record: RequestRecord
    size_bytes: int
    patient: _Patient | None


class Spool:
    """One per server process. `put` and `written` are called from one thread, that of its event loop."""

    def __init__(self, folder: Path, settings: WarehouseSettings, clock: Clock, counted: Metrics) -> None:
        """Raises SettingsError."""
        check(settings)
        self._folder, self._settings, self._clock = folder, settings, clock
        self._refusing = settings.when_full == "refuse"
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        # Each is written by one thread only, so that neither needs a lock.
        self._put_bytes = self._taken_bytes = 0
        self._over = self._stopped = False
        self._trouble_until_s = 0.0
        self._looked_at_s = 0.0
        self._logged_at_s = -LOG_S
        self._segment: segments.OpenSegment | None = None
        self._opened_at_s = 0.0
        self._queue_full = counted.number(metrics.SPOOL_DROPPED, "queue full")
        self._disk_full = counted.number(metrics.SPOOL_DROPPED, "spool full")
        self._unwritten = counted.number(metrics.SPOOL_DROPPED, "not written")
        self._failures = counted.number(metrics.SPOOL_FAILURES)
        self._bytes = counted.number(metrics.SPOOL_BYTES)
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)

    def start(self) -> None:
        """Begins to write."""
        self._thread.start()

    def stop(self) -> None:
        """Writes what waits and hands it to the loader. Blocks; what is put from now on is dropped."""
        self._stopped = True
        self._queue.put(None)
        self._thread.join()

    def check(self) -> None:
        """Whether a request that begins now can be recorded. Raises NotRecorded if not, and if it must be."""
        if self._refusing and (self._over or self._full() or self._clock.monotonic_s() < self._trouble_until_s):
            raise _refusal()

    def put(self, record: RequestRecord, told: Told | None = None) -> bool:
        """Leaves a record without waiting; False when it was dropped. Never blocks or raises.

        `told` is called once, on this event loop: when the record is as safe as `durability` asks, was dropped, which may be at once, or
        the disk has not taken it after `WAIT_S`.
        """
        if told is None or self._settings.durability == "queued":
            done = self._enqueue(record, None)
            if told is not None:
                told(done)
            return done
        patient = _Patient(told, self._overdue)
        done = self._enqueue(record, patient)
        if not done:
            patient.tell(False)
        return done

    async def written(self, record: RequestRecord) -> bool:
        """Leaves a record and waits until it is as safe as `durability` asks; False when it was dropped.

        Raises NotRecorded instead when requests are to be refused then.
        """
        waiting: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def told(done: bool) -> None:
            if not waiting.done():
                waiting.set_result(done)

        self.put(record, told)
        done = await waiting
        refusal = self.refusal(done)
        if refusal is not None:
            raise refusal
        return done

    def refusal(self, done: bool) -> NotRecorded | None:
        """What a request is answered whose record was dropped, if it must not be."""
        return _refusal() if self._refusing and not done else None

    def _full(self) -> bool:
        waiting_bytes = self._put_bytes - self._taken_bytes
        return waiting_bytes > self._settings.queue_bytes or self._queue.qsize() >= self._settings.queue_records

    def _overdue(self) -> None:
        self._trouble_until_s = self._clock.monotonic_s() + TROUBLE_S
        self._note_failure(TimeoutError(f"the disk did not take one within {WAIT_S:g} s"))

    def _enqueue(self, record: RequestRecord, patient: _Patient | None) -> bool:
        if self._over:
            self._disk_full.add()
            return False
        if self._stopped:
            self._unwritten.add()
            return False
        if self._full():
            self._queue_full.add()
            return False
        size_bytes = _RECORD_BYTES + len(record.request or b"") + len(record.response or b"")
        self._put_bytes += size_bytes
        self._queue.put(_Waiting(record, size_bytes, patient))
        return True

    def _run(self) -> None:
        going = True
        while going:
            batch, going = self._next_batch()
            if batch:
                self._record(batch)
                self._taken_bytes += sum(item.size_bytes for item in batch)
            try:
                self._look_around(last=not going)
            except OSError as error:  # this thread must live
                self._note_failure(error)

    def _next_batch(self) -> tuple[list[_Waiting], bool]:
        """What waits now, or what comes before there is something else to do; and whether more may come."""
        batch: list[_Waiting] = []
        size_bytes = 0
        busy = self._segment is not None or self._over
        with contextlib.suppress(queue.Empty):
            item = self._queue.get(timeout=SEGMENT_S / 4 if busy else None)
            while item is not None:
                batch.append(item)
                size_bytes += item.size_bytes
                if len(batch) >= BATCH_RECORDS or size_bytes >= BATCH_BYTES:
                    return batch, True
                item = self._queue.get_nowait()
            return batch, False
        return batch, True

    def _record(self, batch: list[_Waiting]) -> None:
        pieces: list[bytes] = []
        encoded, failed = [], []
        for item in batch:
            try:
                pieces += frames.encoded(frames.capped(item.record, self._settings.payload_bytes))
                encoded.append(item)
            except (TypeError, ValueError) as error:  # nothing JSON can tell
                self._note_failure(error)
                failed.append(item)
        try:
            self._append(pieces)
            _tell(encoded, True)
        except Exception as error:  # noqa: BLE001 - whatever ails the disk, the next ones must find this thread alive
            self._trouble_until_s = self._clock.monotonic_s() + TROUBLE_S
            self._note_failure(error)
            self._hand_over()
            failed += encoded
        self._unwritten.add(len(failed))
        _tell(failed, False)

    def _append(self, pieces: list[bytes]) -> None:
        if not pieces:
            return
        synced = self._settings.durability == "synced"
        if self._segment is None:
            self._segment = segments.OpenSegment(self._folder, synced=synced)
            self._opened_at_s = self._clock.monotonic_s()
        self._segment.append(pieces)
        if synced:
            self._segment.sync()

    def _note_failure(self, error: Exception) -> None:
        self._failures.add()
        now_s = self._clock.monotonic_s()
        if now_s - self._logged_at_s >= LOG_S:
            self._logged_at_s = now_s
            logger.error("finished requests cannot be written to %s: %s", self._folder, error)

    def _look_around(self, *, last: bool) -> None:
        now_s = self._clock.monotonic_s()
        if last or now_s - self._opened_at_s >= SEGMENT_S or self._size_bytes() >= SEGMENT_BYTES:
            self._hand_over()
        if now_s - self._looked_at_s >= SEGMENT_S:
            self._looked_at_s = now_s
            waiting = segments.folder_bytes(self._folder)
            self._bytes.set(waiting)
            if (waiting > self._settings.spool_bytes) != self._over:
                self._over = not self._over
                logger.warning(
                    "%s bytes wait in %s: %s", waiting, self._folder, "too many" if self._over else "fewer again"
                )

    def _size_bytes(self) -> int:
        return self._segment.size_bytes if self._segment else 0

    def _hand_over(self) -> None:
        segment, self._segment = self._segment, None
        if segment is not None:
            try:
                segment.close()
            except OSError as error:  # the loader finds it all the same
                logger.warning("a file of finished requests was not handed over: %s", error)


def _tell(batch: Iterable[_Waiting], done: bool) -> None:
    loops: dict[asyncio.AbstractEventLoop, list[_Patient]] = {}
    for item in batch:
        if item.patient is not None:
            loops.setdefault(item.patient.loop, []).append(item.patient)
    for loop, waiting in loops.items():
        try:
            loop.call_soon_threadsafe(_call, waiting, done)
        except RuntimeError:  # that loop is closed: nobody waits any more
            continue


def _call(waiting: list[_Patient], done: bool) -> None:
    for patient in waiting:
        patient.tell(done)


def _refusal() -> NotRecorded:
    return NotRecorded(
        "This request cannot be recorded now, and this server answers only what is. Try again in a moment.",
        headers={"retry-after": "1"},
    )


def check(settings: WarehouseSettings) -> None:
    """Raises SettingsError."""
    for name, value, known in (
        ("durability", settings.durability, DURABILITIES),
        ("when_full", settings.when_full, WHEN_FULL),
    ):
        if value not in known:
            raise SettingsError(f"warehouse.{name} is {value!r}; it must be one of {', '.join(known)}")
