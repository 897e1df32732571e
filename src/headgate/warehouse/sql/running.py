"""Runs queries, each in a process of its own that is killed when it takes too long or nobody waits any more."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from headgate import clock
from headgate.settings import WarehouseSettings
from headgate.warehouse.sql import problems
from headgate.warehouse.sql.results import Outline
from headgate.warehouse.sql.statement import Statement
from headgate.warehouse.tables.places import Places, TableName

THREADS = 2
MOST_TABLES = 100
"""In one query."""
_START_S = 20.0
"""A process may take so long to begin before the query's time runs."""
_PROGRAM = "headgate.warehouse.sql.child"
_LINE_BYTES = 4 * 1024**2
"""Of what a process says besides rows."""
_PIECE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Bounds:
    """What this caller wants at most; the settings may allow less."""

    rows: int | None = None
    result_bytes: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Visible:
    """What one caller may read. Both are called in threads."""

    find: Callable[[TableName], str | None]
    """A table's form (one of `columns.FORMS`), if there is such a table and the caller may read it."""
    every: Callable[[], Sequence[TableName]]
    """All of those."""


class Sink(Protocol):
    """A file, or something like it."""

    def write(self, piece: bytes, /) -> int: ...


Into = Callable[[Outline], Sink]
"""Where a result's rows are written, as JSON. Called, and written to, in threads."""


class Queries:
    """One per server process."""

    def __init__(self, places: Places, settings: WarehouseSettings) -> None:
        self._places, self._settings = places, settings

    async def run(self, statement: Statement, visible: Visible, into: Into, bounds: Bounds = Bounds()) -> None:
        """Raises StatementError. When it is cancelled, the query's process is gone before it returns."""
        most = self._settings
        seconds = min(bounds.seconds or most.query_s, most.query_s)
        asked = {
            "statement": statement,
            "options": dict(self._places.options),
            "memory_bytes": most.query_memory_bytes,
            "seconds": seconds,
            "threads": THREADS,
            "rows": most.query_rows if bounds.rows is None else min(bounds.rows, most.query_rows),
            "result_bytes": min(bounds.result_bytes or most.query_result_bytes, most.query_result_bytes),
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-c", _start(), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            env=_ENVIRONMENT, limit=_LINE_BYTES,
        )  # fmt: skip
        try:
            await clock.within(seconds + _START_S, self._talk(process, asked, visible, into))
        except asyncio.TimeoutError:
            raise problems.too_slow(seconds) from None
        finally:
            await _end(process)

    async def _talk(
        self, process: asyncio.subprocess.Process, asked: dict[str, Any], visible: Visible, into: Into
    ) -> None:
        """Says what is asked, answers what is asked back, takes the rows."""
        await _say(process, asked)
        for _ in range(MOST_TABLES):
            told = await _heard(process)
            if "find" in told:
                name = TableName(*told["find"])
                form = await asyncio.to_thread(visible.find, name)
                await _say(process, {"form": form, "uri": self._places.uri(name) if form else None})
            elif "every" in told:
                names = await asyncio.to_thread(visible.every)
                await _say(process, {"tables": [(name.catalog, name.schema, name.table) for name in names]})
            elif "columns" in told:
                await _take(process, Outline(**told), into)
                return
            else:
                ended = not told and await process.wait() in (-signal.SIGALRM, -signal.SIGXCPU)
                raise self._problem({"too_slow": True} if ended else told, asked["seconds"])
        raise problems.syntax(f"The statement names more than {MOST_TABLES} tables.")

    def _problem(self, told: dict[str, Any], seconds: float) -> problems.StatementError:
        """`told`: what went wrong; nothing when the process ended without a word, which those do that take too much memory."""
        if "error" in told:
            return problems.StatementError(*told["error"])
        if told.get("too_slow"):
            return problems.too_slow(seconds)
        if "failed" in told:
            return problems.failed(told["failed"])
        return problems.too_large(self._settings.query_memory_bytes)


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
        raise problems.failed("The result has too many columns.") from None
    try:
        told: dict[str, Any] = orjson.loads(line) if line else {}
    except orjson.JSONDecodeError:
        raise problems.failed("The query's process said something strange.") from None
    return told


async def _take(process: asyncio.subprocess.Process, outline: Outline, into: Into) -> None:
    """Rows pass through unread: a large result keeps nobody else waiting."""
    assert process.stdout is not None
    file = await asyncio.to_thread(into, outline)
    left = outline.size_bytes
    while left > 0:
        piece = await process.stdout.read(min(left, _PIECE_BYTES))
        if not piece:
            raise problems.failed("The query's process ended before its result was complete.")
        left -= len(piece)
        await asyncio.to_thread(file.write, piece)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    await process.wait()
