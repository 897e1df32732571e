"""Runs queries, each in a process of its own that is killed when it takes too long or nobody waits any more."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from headgate import clock
from headgate.settings import WarehouseSettings
from headgate.warehouse.sql import problems
from headgate.warehouse.sql.results import Result
from headgate.warehouse.sql.statement import Statement
from headgate.warehouse.tables.places import Places, TableName

THREADS = 2
MOST_TABLES = 100
"""In one query."""
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
        async with self._free:
            return await self._run(statement, readable, bounds)

    def exists(self, name: TableName) -> bool:
        """Whether there is such a table. Blocks: asks the storage."""
        from deltalake import DeltaTable

        return bool(DeltaTable.is_deltatable(self._places.uri(name), storage_options=dict(self._places.options)))

    async def _run(self, statement: Statement, readable: Callable[[TableName], bool], bounds: Bounds) -> Result:
        most = self._settings
        seconds = min(bounds.seconds or most.query_s, most.query_s)
        result_bytes = min(bounds.result_bytes or most.query_result_bytes, most.query_result_bytes)
        asked = {
            "statement": statement,
            "options": dict(self._places.options),
            "memory_bytes": most.query_memory_bytes,
            "seconds": seconds,
            "threads": THREADS,
            "rows": min(bounds.rows or most.query_rows, most.query_rows),
            "result_bytes": result_bytes,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-c", _start(), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            env=_ENVIRONMENT, limit=6 * result_bytes + _ANSWER_BYTES,
        )  # fmt: skip
        try:
            said = await clock.within(seconds + _START_S, self._talk(process, asked, readable))
        except asyncio.TimeoutError:
            raise problems.too_slow(seconds) from None
        finally:
            await _end(process)
        return _result(said, self._settings, seconds)

    async def _talk(
        self, process: asyncio.subprocess.Process, asked: dict[str, Any], readable: Callable[[TableName], bool]
    ) -> dict[str, Any]:
        """Says what is asked and where tables lie; hears the answer."""
        await _say(process, asked)
        for _ in range(MOST_TABLES):
            told = await _heard(process)
            if "table" not in told:
                status = await process.wait()
                return told or {"too_slow": status in (-signal.SIGALRM, -signal.SIGXCPU)}
            name = TableName(*told["table"])
            allowed = await asyncio.to_thread(readable, name)
            await _say(process, {"uri": self._places.uri(name) if allowed else None})
        raise problems.syntax(f"The statement names more than {MOST_TABLES} tables.")


def _start() -> str:
    """Finds this package where this process found it; `-I` keeps everything else of the surroundings out."""
    return f"import sys; sys.path[:] = {[place for place in sys.path if place]!r}; import runpy; runpy.run_module({_PROGRAM!r}, run_name='__main__')"


_ENVIRONMENT: dict[str, str] = {
    "PYTHONDONTWRITEBYTECODE": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "HOME": "/nonexistent",
}
"""Nothing of ours, which may hold secrets; a library that wants a home finds none."""


async def _say(process: asyncio.subprocess.Process, told: dict[str, Any]) -> None:
    assert process.stdin is not None
    with contextlib.suppress(ConnectionError):
        process.stdin.write(orjson.dumps(told) + b"\n")
        await process.stdin.drain()


async def _heard(process: asyncio.subprocess.Process) -> dict[str, Any]:
    assert process.stdout is not None
    try:
        line = await process.stdout.readline()
    except ValueError:
        raise problems.failed("The result is too large.") from None
    told: dict[str, Any] = orjson.loads(line) if line else {}
    return told


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    await process.wait()


def _result(answer: dict[str, Any], settings: WarehouseSettings, seconds: float) -> Result:
    if "error" in answer:
        raise problems.StatementError(*answer["error"])
    if answer.get("too_slow"):
        raise problems.too_slow(seconds)
    if "too_slow" in answer or "out_of_memory" in answer:  # or it was ended without a word
        raise problems.too_large(settings.query_memory_bytes)
    if "failed" in answer:
        raise problems.failed(answer["failed"])
    return Result(answer["columns"], answer["rows"], answer["truncated"])
