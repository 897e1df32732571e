"""Statements that callers have sent: they take turns, run while nobody waits for them, and are remembered for a while.

One per server process, on its event loop; the shelf's files let the other processes answer about them, too.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import Counter
from dataclasses import dataclass
from typing import IO

from headgate import errors
from headgate.settings import WarehouseSettings
from headgate.warehouse.sql import shelf
from headgate.warehouse.sql.problems import StatementError
from headgate.warehouse.sql.results import Outline
from headgate.warehouse.sql.running import Bounds, Queries, Visible
from headgate.warehouse.sql.shelf import Fate, Shelf, Writing
from headgate.warehouse.sql.statement import Statement

logger = logging.getLogger(__name__)

MOST_OF_ONE = 20
"""Statements of one caller that run or wait, per server process."""
MOST_OF_ALL = 200
_LOOK_S = 0.25
_SWEEP_S = 30.0


@dataclass(frozen=True, slots=True)
class Sent:
    """A statement, and who sent it."""

    owner: str
    """Id of the caller."""
    statement: Statement
    visible: Visible
    bounds: Bounds


@dataclass(slots=True, eq=False)
class _Live:
    """One that is not over."""

    id: str
    sent: Sent
    work: asyncio.Task[None] | None = None
    canceled: bool = False
    writing: Writing | None = None


class Statements:
    """Runs at most `query_processes` at a time, and half of them for one caller."""

    def __init__(self, queries: Queries, kept: Shelf, settings: WarehouseSettings) -> None:
        self._queries, self._shelf = queries, kept
        self._free = asyncio.Semaphore(settings.query_processes)
        self._of_one = max(1, settings.query_processes // 2)
        self._own: dict[str, asyncio.Semaphore] = {}
        self._live: dict[str, _Live] = {}
        self._swept_s = -_SWEEP_S
        self._tasks: set[asyncio.Task[None]] = set()

    async def begin(self, sent: Sent) -> str:
        """The id of the statement, which runs from now on, or waits for its turn. Raises TooManyRequests, TemporarilyUnavailable."""
        self._check_room(sent.owner)
        one = _Live(str(uuid.uuid4()), sent)
        self._live[one.id] = one
        try:
            await asyncio.to_thread(self._shelf.put, sent.owner, one.id, Fate(shelf.PENDING, self._shelf.process))
        except BaseException as error:
            del self._live[one.id]
            if isinstance(error, OSError):
                raise errors.TemporarilyUnavailable(f"Results cannot be stored: {error.strerror}.") from error
            raise
        one.work = asyncio.create_task(self._work(one))
        self._keep(one.work)
        self._keep(asyncio.create_task(self._watch(one, one.work)))
        await asyncio.sleep(0)  # it has begun: what is cancelled before says nothing
        return one.id

    async def wait(self, statement_id: str, seconds: float) -> bool:
        """Whether a statement that was begun here is over, at the latest after so many seconds."""
        one = self._live.get(statement_id)
        if one is None or one.work is None:
            return True
        done, _ = await asyncio.wait({one.work}, timeout=seconds)
        return bool(done)

    async def find(self, caller: str, admin: bool, statement_id: str) -> tuple[str, Fate]:
        """Whose it is and what became of it. Raises Hidden for those of others, administrators aside."""
        owner = await asyncio.to_thread(self._shelf.owner, caller, admin, statement_id)
        fate = None if owner is None else await asyncio.to_thread(self._shelf.fate, owner, statement_id)
        if owner is None or fate is None:
            raise gone(statement_id)
        return owner, fate

    async def answer(self, owner: str, statement_id: str) -> IO[bytes]:
        """Of one that succeeded; close it. Raises Hidden."""
        file = await asyncio.to_thread(self._shelf.answer, owner, statement_id)
        if file is None:
            raise gone(statement_id)
        return file

    async def cancel(self, owner: str, statement_id: str) -> None:
        """Stops it, wherever it runs; what is over stays as it is."""
        one = self._live.get(statement_id)
        if one is None:
            await asyncio.to_thread(self._shelf.cancel, owner, statement_id)
        else:
            _cancel(one)

    def _check_room(self, owner: str) -> None:
        alive = Counter(one.sent.owner for one in self._live.values())
        if alive[owner] >= MOST_OF_ONE:
            said = f"{MOST_OF_ONE} statements of yours run or wait already."
        elif alive.total() >= MOST_OF_ALL:
            said = "Too many statements run or wait already."
        else:
            return
        raise errors.TooManyRequests(f"{said} Send it again when some are done.", headers={"Retry-After": "2"})

    async def _watch(self, one: _Live, work: asyncio.Task[None]) -> None:
        """Another process may be asked to cancel it, and leaves a file."""
        await self._sweep()
        while not work.done():
            if not one.canceled and self._shelf.is_canceled(one.sent.owner, one.id):
                _cancel(one)
            await asyncio.wait({work}, timeout=_LOOK_S)

    async def _work(self, one: _Live) -> None:
        owner = one.sent.owner
        fate = Fate(shelf.FAILED, self._shelf.process, _error(errors.InternalError("The statement could not be run.")))
        try:
            fate = await self._run(one)
        except StatementError as error:
            fate = Fate(shelf.FAILED, self._shelf.process, _error(error), error.sql_state)
        except OSError as error:
            refused = errors.TemporarilyUnavailable(f"The result could not be stored: {error.strerror}.")
            fate = Fate(shelf.FAILED, self._shelf.process, _error(refused))
        except asyncio.CancelledError:
            stopped = errors.TemporarilyUnavailable("The server stopped. Send the statement again.")
            fate = Fate(shelf.FAILED, self._shelf.process, _error(stopped))
            if one.canceled:
                fate = Fate(shelf.CANCELED, self._shelf.process)
        except Exception:
            logger.exception("statement %s failed", one.id)
        finally:
            # Not awaited: a task that is being cancelled must get this done, and it takes microseconds.
            self._end(one, owner, fate)

    async def _run(self, one: _Live) -> Fate:
        owner, process = one.sent.owner, self._shelf.process

        def into(outline: Outline) -> Writing:
            one.writing = self._shelf.begin(owner, one.id, outline)
            return one.writing

        async with self._own.setdefault(owner, asyncio.Semaphore(self._of_one)), self._free:
            await asyncio.to_thread(self._shelf.put, owner, one.id, Fate(shelf.RUNNING, process))
            await self._queries.run(one.sent.statement, one.sent.visible, into, one.sent.bounds)
        assert one.writing is not None
        writing = one.writing
        await asyncio.to_thread(writing.finish)
        one.writing = None
        return Fate(shelf.SUCCEEDED, process, result_at=writing.result_at)

    def _end(self, one: _Live, owner: str, fate: Fate) -> None:
        if one.writing is not None:
            one.writing.drop()
        try:
            self._shelf.put(owner, one.id, fate)
        except OSError as error:
            logger.error("what became of statement %s cannot be stored: %s", one.id, error)
            self._shelf.drop(owner, one.id)
        del self._live[one.id]
        if not any(other.sent.owner == owner for other in self._live.values()):
            self._own.pop(owner, None)

    async def _sweep(self) -> None:
        now_s = asyncio.get_running_loop().time()
        if now_s - self._swept_s >= _SWEEP_S:
            self._swept_s = now_s
            await asyncio.to_thread(self._shelf.sweep)

    def _keep(self, task: asyncio.Task[None]) -> None:
        """The loop ends what is left at the end of the process."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def gone(statement_id: str) -> errors.Hidden:
    """There is none, or none that this caller may know of, or it has been forgotten."""
    return errors.Hidden(f"The statement {statement_id} does not exist, or its result is kept no more.")


def _cancel(one: _Live) -> None:
    one.canceled = True
    if one.work is not None:
        one.work.cancel()


def _error(error: errors.HeadgateError) -> dict[str, str]:
    return {"error_code": error.error_code, "message": error.message}
