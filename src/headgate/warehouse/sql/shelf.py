"""What became of statements, in files that every server process of the machine reads: `statements/<owner>/<id>.json` and `.answer`.

Blocking; called in threads. Each change of a file is a rename. A statement belongs to the process that runs it, which holds a lock as long as
it lives: what a dead one was about to do has failed. Whoever did not start a statement finds no file of it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import uuid
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from headgate.clock import Clock
from headgate.warehouse.sql import results
from headgate.warehouse.sql.results import Outline

PENDING, RUNNING, SUCCEEDED, FAILED, CANCELED = "PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELED"
MOST_KEPT = 1000
"""Statements of one caller."""
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OWNER = re.compile(r"\w{1,64}")
_PROCESSES = "processes"
_ENDED = {
    "error_code": "TEMPORARILY_UNAVAILABLE",
    "message": "The server process that ran it has ended. Send the statement again.",
}


@dataclass(frozen=True, slots=True)
class Fate:
    """What is known of a statement."""

    state: str
    process: str
    error: dict[str, str] | None = None
    """`error_code` and `message`."""
    sql_state: str | None = None
    result_at: int = 0
    """Where in the answer the object `result` begins; it ends one byte before the answer does."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept, and how long."""

    seconds: float
    all_bytes: int


class Shelf:
    """One per server process. `close` it at the end."""

    def __init__(self, folder: Path, limits: Limits, clock: Clock) -> None:
        self._folder, self._limits, self._clock = folder, limits, clock
        self.process = uuid.uuid4().hex
        locks = folder / _PROCESSES
        locks.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Under its name only once it is held: till then it looks like that of a dead process.
        new = locks / f"{self.process}.new"
        self._lock = new.open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        new.rename(locks / self.process)

    def close(self) -> None:
        self._lock.close()

    def put(self, owner: str, statement_id: str, fate: Fate) -> None:
        """Raises OSError."""
        path = self._path(owner, statement_id)
        path.parent.mkdir(exist_ok=True, mode=0o700)
        part = path.with_suffix(".part")
        try:
            part.touch(mode=0o600)
            part.write_text(json.dumps(asdict(fate)))
            part.rename(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise

    def begin(self, owner: str, statement_id: str, outline: Outline) -> Writing:
        """To write the answer of one that succeeds. Raises OSError."""
        return Writing(self._path(owner, statement_id).with_suffix(".answer"), statement_id, outline)

    def drop(self, owner: str, statement_id: str) -> None:
        """As if it had never been."""
        for suffix in (".json", ".answer", ".answer.part", ".cancel"):
            self._path(owner, statement_id).with_suffix(suffix).unlink(missing_ok=True)

    def owner(self, caller: str, admin: bool, statement_id: str) -> str | None:
        """Whose statement it is, when the caller may know of it."""
        if not _ID.fullmatch(statement_id):
            return None
        if _OWNER.fullmatch(caller) and self._path(caller, statement_id).exists():
            return caller
        found = next(self._folder.glob(f"*/{statement_id}.json"), None) if admin else None
        return None if found is None else found.parent.name

    def fate(self, owner: str, statement_id: str) -> Fate | None:
        """None: it is not there (any more)."""
        try:
            fate = Fate(**json.loads(self._path(owner, statement_id).read_text()))
        except FileNotFoundError:
            return None
        if fate.state in (PENDING, RUNNING) and not self._lives(fate.process):
            return Fate(FAILED, fate.process, dict(_ENDED))
        return fate

    def answer(self, owner: str, statement_id: str) -> IO[bytes] | None:
        """Of one that succeeded, to be read and closed; None: it is gone."""
        try:
            return self._path(owner, statement_id).with_suffix(".answer").open("rb")
        except FileNotFoundError:
            return None

    def cancel(self, owner: str, statement_id: str) -> None:
        """Asks the process that runs it to stop."""
        with contextlib.suppress(OSError):
            self._path(owner, statement_id).with_suffix(".cancel").touch(mode=0o600)

    def is_canceled(self, owner: str, statement_id: str) -> bool:
        return self._path(owner, statement_id).with_suffix(".cancel").exists()

    def sweep(self) -> None:
        """Deletes what is too old, and the oldest of whoever has most when all together are too much."""
        kept: dict[str, list[tuple[float, int, str]]] = defaultdict(list)
        oldest_s = self._clock.now_ms() / 1000 - self._limits.seconds
        for path in self._folder.glob("*/*"):
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                if path.parent.name == _PROCESSES:
                    if not path.suffix:
                        self._lives(path.name)
                elif status.st_mtime < oldest_s:
                    path.unlink()
                elif path.suffix == ".json":
                    size = _size(path.with_suffix(".answer"))
                    kept[path.parent.name].append((status.st_mtime, size, path.stem))
        for owner, statements in kept.items():
            statements.sort(reverse=True)
            while len(statements) > MOST_KEPT:
                self.drop(owner, statements.pop()[2])
        while sum(map(_held, kept.values())) > self._limits.all_bytes:
            owner = max(kept, key=lambda one: _held(kept[one]))
            self.drop(owner, kept[owner].pop()[2])

    def _lives(self, process: str) -> bool:
        """Whether it still holds its lock; the lock of a dead one is deleted."""
        path = self._folder / _PROCESSES / process
        try:
            with path.open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)
        except BlockingIOError:
            return True
        except FileNotFoundError:
            pass
        return False

    def _path(self, owner: str, statement_id: str) -> Path:
        return self._folder / owner / f"{statement_id}.json"


class Writing:
    """An answer on its way into its file. Rows are written by `write`."""

    def __init__(self, path: Path, statement_id: str, outline: Outline) -> None:
        self._path, self._part = path, path.with_suffix(".answer.part")
        self._file = open(os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")  # noqa: SIM115 - closed by `finish` or `drop`
        before, chunk, self._after = results.around(statement_id, outline)
        self.result_at = len(before)
        self._file.write(before + chunk)

    def write(self, piece: bytes) -> int:
        """Of the rows."""
        return self._file.write(piece)

    def finish(self) -> None:
        """The answer is complete. Raises OSError."""
        self._file.write(self._after)
        self._file.close()
        self._part.rename(self._path)

    def drop(self) -> None:
        """There will be none."""
        with contextlib.suppress(OSError):
            self._file.close()
        self._part.unlink(missing_ok=True)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _held(statements: list[tuple[float, int, str]]) -> int:
    return sum(size for _, size, _ in statements)
