"""Takes finished requests from the spool into their tables, each exactly once. One thread per machine, in whichever process claims the spool.

A segment is deleted when every table it has rows for says, in its own log, that it holds that segment (`tables.delta`). So there is
no state of ours between the two that a crash could leave wrong. A table that cannot be written holds up only its own segments.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from headgate.clock import Clock
from headgate.domain.request_record import RequestRecord
from headgate.domain.served_entity_record import ServedEntityRecord
from headgate.settings import WarehouseSettings
from headgate.telemetry import metrics
from headgate.telemetry.counting import Metrics
from headgate.warehouse.prices import PriceTable
from headgate.warehouse.spool import context, frames
from headgate.warehouse.spool.segments import Inbox, Segment
from headgate.warehouse.tables import places, rows
from headgate.warehouse.tables.delta import Form, Tables, TableTrouble
from headgate.warehouse.tables.places import TableName
from headgate.warehouse.tables.rows import Origin

logger = logging.getLogger(__name__)

BATCH_BYTES = 64 * 1024**2
"""Segments read into memory together."""
PARALLEL_TABLES = 8
BACKOFF_S = 1.0
BACKOFF_MOST_S = 60.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What the loader works with."""

    inbox: Inbox
    tables: Tables
    prices: PriceTable
    origin: Origin
    clock: Clock
    counted: Metrics
    settings: WarehouseSettings
    entities: Callable[[], Sequence[ServedEntityRecord]] = tuple
    """All served entities that there are or were; asked every lap."""
    step: Callable[[str], None] = lambda name: None
    """Told before each step; tests die there."""


@dataclass(slots=True)
class _Backoff:
    until_s: float = 0.0
    wait_s: float = 0.0


@dataclass(slots=True)
class _Batch:
    """Segments and what they hold, by table."""

    segments: list[Segment]
    records: dict[TableName, tuple[Form, list[tuple[int, RequestRecord]]]] = field(default_factory=dict)
    tables_of: dict[int, set[TableName]] = field(default_factory=dict)


class Loader:
    """`lap` does all there is to do; `start` and `stop` do so in a thread."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._backoffs: dict[TableName, _Backoff] = {}
        self._held: dict[int, set[TableName]] = {}
        self._entities: tuple[ServedEntityRecord, ...] | None = None
        self._loaded = parts.counted.number(metrics.LOADED)
        self._failures = parts.counted.number(metrics.LOAD_FAILURES, "append")
        self._damage = parts.counted.number(metrics.SPOOL_DAMAGE)
        self._lag = parts.counted.number(metrics.LOAD_LAG)
        self._pool = ThreadPoolExecutor(PARALLEL_TABLES, thread_name_prefix="tables")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="warehouse loader", daemon=True)

    def start(self) -> None:
        """Begins to load; waits for its turn while another process does."""
        self._thread.start()

    def stop(self) -> None:
        """After a last lap. Blocks."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._pool.shutdown()
        self._parts.inbox.release()

    def lap(self) -> bool:
        """Loads what there is; False when another process is the loader. Raises OSError when the spool cannot be read."""
        parts = self._parts
        parts.step("claim")
        if not parts.inbox.claim():
            return False
        segments = parts.inbox.take()
        waiting = self._waiting(segments)
        refused = self._in_backoff()
        for batch in self._batches(waiting):
            refused |= self._load(batch, refused)
        self._tell_lag(segments)
        self._load_entities()
        return True

    def _run(self) -> None:
        while True:
            last = self._stopping.is_set()
            try:
                self.lap()
            except Exception:  # whatever it is, what is spooled must be loaded when it is over
                self._failures.add()
                logger.exception("loading failed; it is tried again")
            if last:
                return
            self._stopping.wait(self._parts.settings.commit_s)

    def _waiting(self, segments: list[Segment]) -> list[Segment]:
        """Without those that only wait for tables whose time has not come."""
        known = {segment.number for segment in segments}
        self._held = {number: tables for number, tables in self._held.items() if number in known}
        refused = self._in_backoff()
        return [item for item in segments if item.number not in self._held or self._held[item.number] - refused]

    def _in_backoff(self) -> set[TableName]:
        now_s = self._parts.clock.monotonic_s()
        return {name for name, backoff in self._backoffs.items() if backoff.until_s > now_s}

    def _batches(self, segments: Iterable[Segment]) -> Iterable[_Batch]:
        """In order of their numbers, read one after the other."""
        batch = _Batch([])
        size_bytes = 0
        for segment in segments:
            self._parts.step("read")
            content = segment.path.read_bytes()
            if batch.segments and size_bytes + len(content) > BATCH_BYTES:
                yield batch
                batch, size_bytes = _Batch([]), 0
            self._add(batch, segment, content)
            size_bytes += len(content)
        if batch.segments:
            yield batch

    def _add(self, batch: _Batch, segment: Segment, content: bytes) -> None:
        damage = frames.Damage()
        batch.segments.append(segment)
        tables = batch.tables_of.setdefault(segment.number, set())
        for record in map(context.completed, frames.decoded(content, damage)):
            for name, form in rows.tables_of(record):
                held = batch.records.setdefault(name, (form, []))
                held[1].append((segment.number, record))
                tables.add(name)
        if damage.places:
            self._damage.add(damage.places)
            logger.error("%s places of %s could not be read", damage.places, segment.path)

    def _load(self, batch: _Batch, refused: set[TableName]) -> set[TableName]:
        """Which tables refused their rows, the given ones among them; those must not get later ones either."""
        due = [name for name in batch.records if name not in refused]
        done = dict(zip(due, self._pool.map(lambda name: self._append(name, batch), due), strict=True))
        refused = {name for name in batch.records if not done.get(name, False)}
        loaded = []
        for segment in batch.segments:
            left = batch.tables_of[segment.number] & refused
            if left:
                self._held[segment.number] = left
            else:
                self._held.pop(segment.number, None)
                loaded.append(segment)
        for segment in loaded:
            self._parts.step("remove")
            self._parts.inbox.remove([segment])
        return refused

    def _append(self, name: TableName, batch: _Batch) -> bool:
        """Adds what this table does not have yet. False: not now."""
        parts = self._parts
        form, numbered = batch.records[name]
        app_id = f"headgate-{parts.inbox.spool_id}"
        try:
            loaded = parts.tables.loaded(name, app_id)
            fresh = [record for number, record in numbered if number > loaded]
            if fresh:
                made = rows.rows_of(form, fresh, parts.origin, parts.prices)
                parts.step("append")
                parts.tables.append(name, form, made, (app_id, batch.segments[-1].number))
                parts.step("appended")
                self._loaded.add(made.num_rows)
        except TableTrouble as error:
            self._back_off(name, error)
            return False
        self._backoffs.pop(name, None)
        return True

    def _back_off(self, name: TableName, error: Exception) -> None:
        self._failures.add()
        backoff = self._backoffs.setdefault(name, _Backoff())
        backoff.wait_s = min(BACKOFF_MOST_S, backoff.wait_s * 2 or BACKOFF_S)
        backoff.until_s = self._parts.clock.monotonic_s() + backoff.wait_s
        logger.warning("%s cannot be written, again in %.0f s: %s", name, backoff.wait_s, error)

    def _load_entities(self) -> None:
        parts = self._parts
        if places.SERVED_ENTITIES in self._in_backoff():
            return
        try:
            found = tuple(parts.entities())
        except Exception as error:  # noqa: BLE001 - whoever knows them may be away; requests are loaded all the same
            self._back_off(places.SERVED_ENTITIES, error)
            return
        known: Mapping[tuple[str, int], ServedEntityRecord] = {
            (item.served_entity_id, item.endpoint_config_version): item for item in self._entities or ()
        }
        changed = [item for item in found if known.get((item.served_entity_id, item.endpoint_config_version)) != item]
        if changed:
            try:
                made = rows.entity_rows(changed, parts.origin)
                parts.tables.merge(places.SERVED_ENTITIES, rows.SERVED_ENTITIES, made, rows.ENTITY_KEYS)
            except TableTrouble as error:
                self._back_off(places.SERVED_ENTITIES, error)
                return
            self._backoffs.pop(places.SERVED_ENTITIES, None)
        self._entities = found

    def _tell_lag(self, segments: list[Segment]) -> None:
        left = [segment for segment in segments if segment.path.exists()]
        oldest_s = min((segment.path.stat().st_mtime for segment in left), default=None)
        now_s = self._parts.clock.now_ms() / 1000
        self._lag.set(0.0 if oldest_s is None else max(0.0, now_s - oldest_s))
