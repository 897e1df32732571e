"""Delta tables: made, added to exactly once, and looked after. The only file that writes with deltalake.

Every commit carries a transaction: who writes (`app_id`) and the number of the last segment it holds. Whoever comes back after a
crash reads that number from the table itself and adds only what comes after it.
"""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import ParamSpec, TypeVar

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, TableNotFoundError

from headgate.settings import WarehouseSettings
from headgate.warehouse.tables.places import Places, TableName

_P = ParamSpec("_P")
_T = TypeVar("_T")
OPEN_TABLES = 500
CHECKPOINT_COMMITS = 100
LOG_HOURS = 2
"""Commits are looked for among all that are kept, every few seconds. Who follows a table's log must come this often."""
FEW_BYTES = 8 * 1024**2
"""Files of this size are large enough for a day that still grows."""
ATTEMPTS = 5
GROUP_BYTES = 16 * 1024**2
GROUP_ROWS = 4000
"""Of a row group, which a reader takes into memory whole: as many rows, but not more bytes, before compression, than this; bodies may be large."""
SAMPLED_FILES = 32
"""So many are asked how large their rows are before files are put together."""
RETRYING = {"max_retries": "3", "retry_timeout": "20s", "timeout": "60s", "connect_timeout": "5s"}
"""Of requests to an object storage. The loader comes back anyway."""
_DAY_S = 86400.0


class TableTrouble(Exception):
    """A table cannot be read or written now; the message says why."""


@dataclass(frozen=True, slots=True)
class Form:
    """What a table is like."""

    columns: pa.Schema
    partition: str | None = None
    """A column of days."""
    searched: tuple[str, ...] = ()
    """Columns whose least and greatest values are kept per file. Bodies are not among them: those would fill the log."""


def _translated(work: Callable[_P, _T]) -> Callable[_P, _T]:
    """Whatever goes wrong becomes TableTrouble: deltalake raises bare Exceptions too, and its panics are not even those."""

    @functools.wraps(work)
    def translated(*args: _P.args, **named: _P.kwargs) -> _T:
        try:
            return work(*args, **named)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            raise TableTrouble(f"{type(error).__name__}: {error}") from error

    return translated


def _writing(row_bytes: float) -> WriterProperties:
    rows = max(1, min(GROUP_ROWS, int(GROUP_BYTES / max(1.0, row_bytes))))
    return WriterProperties(compression="ZSTD", compression_level=3, max_row_group_size=rows)


def _row_bytes(table: DeltaTable, below_bytes: int) -> float:
    """What a row takes before compression, in files smaller than that. Asks those where it takes most after compression."""
    files = pa.table(table.get_add_actions(flatten=True)).select(["path", "size_bytes", "num_records"]).to_pylist()
    small = [file for file in files if file["size_bytes"] < below_bytes and file["num_records"]]
    small.sort(key=lambda file: file["size_bytes"] / file["num_records"], reverse=True)
    asked = {file["path"] for file in small[:SAMPLED_FILES]}
    if not asked:
        return 0.0
    found = [part for part in table.to_pyarrow_dataset().get_fragments() if part.path in asked]
    groups = [group for part in found for group in part.row_groups]
    return max((group.total_byte_size / group.num_rows for group in groups if group.num_rows), default=0.0)


class Tables:
    """Thread-safe for different tables; one thread at a time for one table."""

    def __init__(self, places: Places, settings: WarehouseSettings) -> None:
        self._places, self.settings = places, settings
        self._open: OrderedDict[TableName, DeltaTable] = OrderedDict()
        self._lock = threading.Lock()

    @_translated
    def loaded(self, name: TableName, app_id: str) -> int:
        """The last number that this writer added; 0 when there is none, or no table. Raises TableTrouble."""
        table = self._existing(name)
        return (table.transaction_version(app_id) or 0) if table is not None else 0

    @_translated
    def append(self, name: TableName, form: Form, rows: pa.Table, done: tuple[str, int]) -> None:
        """Adds rows and the number, `done`, in one commit: both are there or neither. Raises TableTrouble."""
        table = self._existing(name) or self._create(name, form)
        known = {field.name for field in table.schema().fields}
        write_deltalake(
            table,
            rows,
            mode="append",
            schema_mode=None if known == set(rows.column_names) else "merge",
            writer_properties=_writing(rows.nbytes / max(1, rows.num_rows)),
            commit_properties=CommitProperties(app_transactions=[Transaction(*done)], max_commit_retries=20),
        )

    @_translated
    def merge(self, name: TableName, form: Form, rows: pa.Table, keys: tuple[str, ...]) -> None:
        """Adds rows, or replaces those with the same keys. Raises TableTrouble."""
        table = self._existing(name) or self._create(name, form)
        same = " AND ".join(f"held.{key} = came.{key}" for key in keys)
        (
            table.merge(rows, same, source_alias="came", target_alias="held", merge_schema=True)
            .when_matched_update_all()
            .when_not_matched_insert_all()
            .execute()
        )

    @_translated
    def compact(self, name: TableName, today: date) -> int:
        """Makes large files of small ones; how many small ones there were. Readers and writers go on meanwhile. Raises TableTrouble.

        Of days that are over as large as may be; of today's only what keeps them few, or the same rows would be written again and again.
        """
        table = self._opened(name)
        gone = self._compact(table, min(FEW_BYTES, self.settings.file_bytes), None)
        for column in table.metadata().partition_columns:
            gone += self._compact(table, self.settings.file_bytes, [(column, "!=", today.isoformat())])
        return gone

    def _compact(self, table: DeltaTable, target_bytes: int, which: list[tuple[str, str, str]] | None) -> int:
        writing = _writing(_row_bytes(table, target_bytes))
        done = table.optimize.compact(
            partition_filters=which, target_size=target_bytes, max_concurrent_tasks=1, writer_properties=writing
        )
        return int(done["numFilesRemoved"])

    @_translated
    def forget_before(self, name: TableName, day: date) -> None:
        """Deletes whole days, this one being the first that stays. Raises TableTrouble."""
        for attempt in range(ATTEMPTS):
            try:
                self._forget(self._opened(name), day)
                return
            except CommitFailedError:  # something was added meanwhile
                if attempt == ATTEMPTS - 1:
                    raise

    @_translated
    def vacuum(self, name: TableName) -> int:
        """Deletes files that no version of the last `vacuum_s` needs, and what killed writers left; how many. Raises TableTrouble."""
        table = self._opened(name)
        hours = max(1, round(self.settings.vacuum_s / 3600))
        gone = table.vacuum(retention_hours=hours, dry_run=False, enforce_retention_duration=False, full=True)
        table.cleanup_metadata()
        return len(gone)

    def _forget(self, table: DeltaTable, day: date) -> None:
        for column in table.metadata().partition_columns:
            days = {str(found[column]) for found in table.partitions()}
            if any(found < day.isoformat() for found in days):
                table.delete(f"{column} < '{day.isoformat()}'")

    def _options(self) -> dict[str, str]:
        return {**self._places.options, **({} if self._places.local else RETRYING)}

    def _opened(self, name: TableName) -> DeltaTable:
        return DeltaTable(self._places.uri(name), storage_options=self._options())

    def _existing(self, name: TableName) -> DeltaTable | None:
        with self._lock:
            table = self._open.pop(name, None)
        try:
            if table is None:
                table = self._opened(name)
            else:
                table.update_incremental()
        except TableNotFoundError:
            return None
        self._keep(name, table)
        return table

    def _create(self, name: TableName, form: Form) -> DeltaTable:
        days = max(1, round(self.settings.vacuum_s / _DAY_S))
        properties = {
            "delta.logRetentionDuration": f"interval {LOG_HOURS} hours",
            "delta.deletedFileRetentionDuration": f"interval {days} days",
            "delta.checkpointInterval": str(CHECKPOINT_COMMITS),
        }
        if form.searched:
            properties["delta.dataSkippingStatsColumns"] = ",".join(form.searched)
        table = DeltaTable.create(
            self._places.uri(name),
            form.columns,
            mode="ignore",
            partition_by=[form.partition] if form.partition else None,
            configuration=properties,
            storage_options=self._options(),
        )
        self._keep(name, table)
        return table

    def _keep(self, name: TableName, table: DeltaTable) -> None:
        with self._lock:
            self._open[name] = table
            while len(self._open) > OPEN_TABLES:
                self._open.popitem(last=False)
