"""The tiny parent of the house: starts, restarts and stops the other processes. Called by `app.serve`.

It holds three things the others depend on: the lock on data_dir, the listening socket, and the write end of the lifeline
pipe, whose end-of-file ends everything below. It serves no request and knows no room.
"""

from __future__ import annotations

import ctypes
import fcntl
import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

logger = logging.getLogger(__name__)

_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
_PR_SET_CHILD_SUBREAPER = 36
_STABLE_S = 10.0
_BACKOFF_MAX_S = 5.0


@dataclass(frozen=True, slots=True)
class Program:
    """A process to keep running."""

    name: str
    command: tuple[str, ...]
    pass_fds: tuple[int, ...] = ()
    stop_deadline_s: float = 10.0
    """Time between SIGTERM and SIGKILL."""
    environ: Mapping[str, str] | None = None
    """Its environment variables; None: those of the supervisor."""


@dataclass(slots=True)
class _Child:
    program: Program
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    due_at: float = 0.0
    backoff_s: float = 0.0


class Locked(Exception):
    """Another house serves this data directory."""


def lock(path: Path) -> IO[str]:
    """Takes the lock of a data directory for the life of the returned file. Raises Locked, naming the holder."""
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise Locked(
            f"another Headgate (process {holder}) uses {path.parent}; stop it, or use another --data-dir"
        ) from error
    file.seek(0)
    file.truncate()
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


@dataclass(slots=True)
class Supervisor:
    """Keeps groups of programs running; stops them group by group, the first group first."""

    groups: Sequence[Sequence[Program]]
    lifeline: tuple[int, int]
    """Read end (passed to every program) and write end (never passed)."""
    before_stop: Callable[[], None] = lambda: None
    """Called once when stopping begins, e.g. to close the listening socket."""
    _children: list[list[_Child]] = field(default_factory=list)
    _stopping: bool = False

    def run(self, tick: Callable[[], None]) -> None:
        """Blocks until SIGTERM or SIGINT, then stops everything. `tick` is called about ten times a second."""
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        self._children = [[_Child(program) for program in group] for group in self.groups]
        try:
            while not self._stopping:
                self._start_due()
                self._wait(0.1)
                tick()
        finally:
            self._stop()

    def _wait(self, timeout_s: float) -> None:
        received = signal.sigtimedwait(_SIGNALS, timeout_s)
        if received is not None and received.si_signo != signal.SIGCHLD:
            if self._stopping:
                logger.warning("second signal: ending at once")
                self._kill_all()
            self._stopping = True
        self._reap()

    def _start_due(self) -> None:
        now = time.monotonic()
        for group in self._children:
            for child in group:
                if child.process is None and child.due_at <= now:
                    child.process = self._spawn(child.program)
                    child.started_at = now

    def _spawn(self, program: Program) -> subprocess.Popen[bytes]:
        fds = (self.lifeline[0], *program.pass_fds)
        return subprocess.Popen(
            program.command,
            env=program.environ,
            pass_fds=fds,
            stdin=subprocess.DEVNULL,
            # A Ctrl-C on the terminal must reach the supervisor only, which then stops the others in order.
            start_new_session=True,
            preexec_fn=_unblock_signals,
        )

    def _reap(self) -> None:
        """Collects dead children, also orphans that fell to us as subreaper."""
        known = {child.process.pid: child for group in self._children for child in group if child.process}
        while True:
            try:
                dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if dead is None:
                return
            child = known.get(dead.si_pid)
            if child is None or child.process is None:
                os.waitpid(dead.si_pid, 0)
            else:
                code = child.process.wait()
                self._ended(child, code)

    def _ended(self, child: _Child, code: int) -> None:
        child.process = None
        if self._stopping:
            return
        now = time.monotonic()
        stable = now - child.started_at > _STABLE_S
        child.due_at = now + (0.0 if stable else child.backoff_s)
        child.backoff_s = 0.0 if stable else min(max(child.backoff_s * 2, 0.1), _BACKOFF_MAX_S)
        logger.warning("%s ended with %s; starting it again", child.program.name, _describe(code))

    def _stop(self) -> None:
        self._stopping = True
        self.before_stop()
        for group in self._children:
            for child in group:
                if child.process is not None:
                    child.process.terminate()
            deadline = time.monotonic() + max(child.program.stop_deadline_s for child in group)
            while any(child.process for child in group) and time.monotonic() < deadline:
                self._wait(0.1)
            for child in group:
                if child.process is not None:
                    logger.warning("%s did not stop in time; killing it", child.program.name)
                    child.process.kill()
                    child.process.wait()
                    child.process = None
        os.close(self.lifeline[1])

    def _kill_all(self) -> None:
        for group in self._children:
            for child in group:
                if child.process is not None:
                    child.process.kill()


def _unblock_signals() -> None:
    """In the child: the blocked mask is inherited, but it must get its signals."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def _describe(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
