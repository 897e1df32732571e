"""Runs queries, each in a process of its own that is killed when it takes too long or nobody waits any more."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from headgate import clock, errors
from headgate.settings import WarehouseSettings
from headgate.warehouse.sql import problems, translating
from headgate.warehouse.sql.results import Result
from headgate.warehouse.sql.translating import Statement, Translated
from headgate.warehouse.tables.places import Places, TableName

THREADS = 2
_START_S = 20.0
"""A process may take so long to begin before the query's time runs."""
_PROGRAM = "headgate.warehouse.sql.child"
_ANSWER_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Bounds:
    """What this caller wants at most; the settings may allow less."""

    rows: int | None = None
    result_bytes: int | None = None
    seconds: float | None = None


class Queries:
    """One per server process."""

    def __init__(self, places: Places, settings: WarehouseSettings) -> None:
        self._places, self._settings = places, settings
        self._free = asyncio.Semaphore(settings.query_processes)

    async def run(
        self, statement: Statement, readable: Callable[[TableName], bool], bounds: Bounds = Bounds()
    ) -> Result:
        """`readable` says which tables the caller may read, and there are (`exists` helps); it is called in a thread.

        Raises StatementError. When it is cancelled, the query's process is gone before it returns.
        """
        translated = await asyncio.to_thread(translating.translate, statement, readable)
        async with self._free:
            return await self._run(translated, bounds)

    def exists(self, name: TableName) -> bool:
        """Whether there is such a table. Blocks: asks the storage."""
        from deltalake import DeltaTable

        return bool(DeltaTable.is_deltatable(self._places.uri(name), storage_options=dict(self._places.options)))

    async def _run(self, translated: Translated, bounds: Bounds) -> Result:
        most = self._settings
        seconds = min(bounds.seconds or most.query_s, most.query_s)
        result_bytes = min(bounds.result_bytes or most.query_result_bytes, most.query_result_bytes)
        asked = {
            "sql": translated.text,
            "tables": [{"alias": alias, "uri": self._places.uri(name)} for alias, name in translated.tables.items()],
            "options": dict(self._places.options),
            "memory_bytes": most.query_memory_bytes,
            "seconds": seconds,
            "threads": THREADS,
            "rows": min(bounds.rows or most.query_rows, most.query_rows),
            "result_bytes": result_bytes,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-c", _start(), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=_ENVIRONMENT
        )  # fmt: skip
        try:
            said = await clock.within(seconds + _START_S, _exchange(process, asked, 4 * result_bytes + _ANSWER_BYTES))
        except asyncio.TimeoutError:
            raise problems.too_slow(seconds) from None
        finally:
            await _end(process)
        return _told(said, self._settings, seconds)


def _start() -> str:
    """Finds this package where this process found it; `-I` keeps everything else of the surroundings out."""
    return f"import sys; sys.path[:] = {[place for place in sys.path if place]!r}; import runpy; runpy.run_module({_PROGRAM!r}, run_name='__main__')"


_ENVIRONMENT: dict[str, str] = {
    "PYTHONDONTWRITEBYTECODE": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "HOME": "/nonexistent",
}
"""Nothing of ours, which may hold secrets; a library that wants a home finds none."""


async def _exchange(process: asyncio.subprocess.Process, asked: dict[str, Any], most_bytes: int) -> bytes:
    assert process.stdin is not None and process.stdout is not None
    with contextlib.suppress(ConnectionError):
        process.stdin.write(orjson.dumps(asked) + b"\n")
        await process.stdin.drain()
    said = bytearray()
    while chunk := await process.stdout.read(1 << 16):
        said += chunk
        if len(said) > most_bytes:
            raise problems.failed("The result is too large.")
    await process.wait()
    return bytes(said)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    await process.wait()


def _told(said: bytes, settings: WarehouseSettings, seconds: float) -> Result:
    if not said:  # killed for its memory, or for its processor time
        raise problems.failed(f"The query was ended: it needs too much memory, or more than {seconds:g} s.")
    answer = orjson.loads(said)
    if "refused" in answer:
        raise problems.not_allowed(answer["refused"])
    if "too_slow" in answer:
        raise problems.too_slow(seconds)
    if "out_of_memory" in answer:
        raise problems.too_large(settings.query_memory_bytes)
    if "failed" in answer:
        raise problems.failed(answer["failed"])
    if "rows" not in answer:
        raise errors.InternalError("The query's process said nothing that is known.")
    return Result(answer["columns"], answer["rows"], answer["truncated"])
