"""Starts the child on the first tracking request and again when it died. One `Child` per server process; one child per house.

Whoever holds the lock file *is* the child: it inherits the lock, so that the lock is free exactly when no child lives. The
server process that started it may die without it noticing; it ends with the house (lifeline).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import importlib.metadata
import importlib.util
import logging
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from headgate import errors
from headgate.tracking import locations

logger = logging.getLogger(__name__)

PREFIX = "/mlflow"
"""Where the child serves everything, so that its pages find each other behind our host."""

_RETRY_S = 3.0
_LOOK_S = 0.05
_OLDEST = (3, 4)
_AWAY = "The tracking server is not available; the server's log says why. Try again in a moment."


@dataclass(frozen=True, slots=True)
class Program:
    """How the child is started."""

    command: tuple[str, ...]
    environ: Mapping[str, str]
    folder: Path
    """Its socket and lock; nobody else's."""
    pass_fds: tuple[int, ...] = ()
    deadline_s: float = 60.0
    """Between its start and its first answer."""

    @property
    def socket(self) -> Path:
        return self.folder / "tracking.sock"


@functools.cache
def unavailable() -> str:
    """Why tracking cannot work in this installation, as a sentence that says what to do; empty when it can."""
    advice = "install headgate[mlflow] into the server's environment and start it again"
    if importlib.util.find_spec("mlflow") is None or importlib.util.find_spec("flask") is None:
        return f"Experiment tracking needs MLflow, which is not installed here: {advice}."
    version = importlib.metadata.version("mlflow")
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST:
        return f"Experiment tracking needs MLflow {'.'.join(map(str, _OLDEST))} or newer, not {version}: {advice}."
    return ""


def environ(own: Mapping[str, str], store_uri: str) -> dict[str, str]:
    """The child's environment: ours, without what would steer MLflow, plus what makes its server the one we want."""
    foreign = ("MLFLOW_", "_MLFLOW_", "DATABRICKS_", "HEADGATE_", "OTEL_")
    kept = {name: value for name, value in own.items() if not name.startswith(foreign)}
    return {
        **kept,
        "_MLFLOW_SERVER_FILE_STORE": store_uri,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": locations.DBFS_ROOT,
        "_MLFLOW_STATIC_PREFIX": PREFIX,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_SERVER_ALLOWED_HOSTS": "localhost",
        "MLFLOW_ENABLE_WORKSPACES": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        # Its threads come and go; separate heaps for each would only hold memory.
        "MALLOC_ARENA_MAX": "2",
    }


@dataclass(slots=True)
class Child:
    """`ensure` before every request; `failed` when one could not be made."""

    program: Program
    _alive: bool = False
    _starting: asyncio.Lock = field(default_factory=asyncio.Lock)
    _process: subprocess.Popen[bytes] | None = None
    _retry_at_s: float = 0.0
    _background: asyncio.Task[None] | None = None

    @property
    def socket(self) -> Path:
        """Where it answers."""
        return self.program.socket

    def failed(self) -> None:
        """It did not answer: the next `ensure` looks."""
        self._alive = False

    async def is_up(self) -> bool:
        """Whether it answers right now. If not, it is being started when this returns, and nobody waits for it."""
        if not self._alive and not await self._answers():
            if self._background is None or self._background.done():
                self._background = asyncio.create_task(self._try())
            return False
        self._alive = True
        return True

    async def _try(self) -> None:
        with contextlib.suppress(errors.TemporarilyUnavailable):  # it is in the log
            await self.ensure()

    async def look(self) -> None:
        """As `ensure`, but finds out by itself whether it lives."""
        if not await self._answers():
            self.failed()
        await self.ensure()

    async def close(self) -> None:
        """Ends what is under way here; the child itself lives on, for other server processes."""
        if self._background is not None:
            self._background.cancel()
            await asyncio.gather(self._background, return_exceptions=True)
        self._ended()

    async def ensure(self) -> None:
        """Returns when it answers, starting it if needed. Raises TemporarilyUnavailable."""
        if self._alive:
            return
        async with self._starting:
            if not self._alive:
                await self._bring_up()
                self._alive = True

    async def _bring_up(self) -> None:
        if time.monotonic() < self._retry_at_s:
            raise errors.TemporarilyUnavailable(_AWAY, headers={"retry-after": "1"})
        deadline_s = time.monotonic() + self.program.deadline_s
        self._ended()  # one that was started here earlier, and served
        while not await self._answers():
            if (code := self._ended()) is not None:
                self._fail(f"it ended with code {code}")
            if time.monotonic() > deadline_s:
                self._fail(f"it did not answer within {self.program.deadline_s:g} s")
            if self._process is None:
                await asyncio.to_thread(self._start_unless_running)
            await asyncio.sleep(_LOOK_S)

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_unix_connection(str(self.socket))
        except OSError:
            return False
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return True

    def _start_unless_running(self) -> None:
        """The lock tells: held by a child, there is one (perhaps not ready yet); free, there is none."""
        with (self.program.folder / "tracking.lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            logger.info("starting MLflow's server")
            self._process = subprocess.Popen(
                self.program.command,
                env=dict(self.program.environ),
                # The lock stays taken for as long as the child has it open.
                pass_fds=(lock.fileno(), *self.program.pass_fds),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def _ended(self) -> int | None:
        """The exit code of the child that was started here, if it ended. It is then forgotten."""
        code = None if self._process is None else self._process.poll()
        if code is not None:
            self._process = None
        return code

    def _fail(self, why: str) -> None:
        """Raises; for a moment nobody tries again."""
        self._retry_at_s = time.monotonic() + _RETRY_S
        logger.error("MLflow's server could not be started: %s", why)
        raise errors.TemporarilyUnavailable(_AWAY, headers={"retry-after": "1"})
