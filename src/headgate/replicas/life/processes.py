"""Processes known by pidfd, ours or not: wait for their end, signal them safely, tell what ended them.

Called by everything here that starts or adopts a process. A pidfd never confuses a process with a later one of the same number.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from headgate.clock import within

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_SIGNALS_TO_RESTORE = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}


@dataclass(frozen=True, slots=True)
class Launch:
    """A process to start, in a session of its own."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path | None = None
    output: int | Path = subprocess.DEVNULL
    """For stdout and stderr: a file to append to, or `subprocess.PIPE`."""
    pass_fds: tuple[int, ...] = ()
    dies_with_us: bool = False
    """For builds. Replicas and zygotes outlive the agent: they watch the lifeline."""
    low_priority: bool = False


def spawn(launch: Launch) -> subprocess.Popen[bytes]:
    """Starts it. Raises OSError when its program cannot be run."""
    if isinstance(launch.output, int):
        return _popen(launch, launch.output)
    launch.output.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    log = os.open(launch.output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return _popen(launch, log)
    finally:
        os.close(log)


def _popen(launch: Launch, output: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        launch.argv,
        env=dict(launch.env),
        cwd=launch.cwd,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        pass_fds=launch.pass_fds,
        start_new_session=True,
        preexec_fn=lambda: _in_child(launch),
    )


def _in_child(launch: Launch) -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS_TO_RESTORE)
    if launch.dies_with_us:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if launch.low_priority:
        os.nice(19)
        try:
            # Where each session is scheduled as one group, niceness inside it says nothing to the others.
            Path("/proc/self/autogroup").write_text("19")
        except OSError:
            pass


class Watched:
    """A process whose end is noticed at once, whoever its parent is. One that does not exist (any more) has ended."""

    def __init__(self, pid: int, child: subprocess.Popen[bytes] | None = None) -> None:
        self.pid = pid
        self.exited = asyncio.Event()
        self.status: int | None = None
        """Exit code, or minus the signal number; None while running or when only its parent knows."""
        self._child = child
        self._listeners: list[Callable[[], None]] = []
        self._loop = asyncio.get_running_loop()
        try:
            self._fd = os.pidfd_open(pid)
        except ProcessLookupError:
            self._fd = -1
            self.exited.set()
        else:
            self._loop.add_reader(self._fd, self._ended)

    def on_exit(self, listener: Callable[[], None]) -> None:
        """Calls `listener` once, on the loop, when it has ended."""
        if self.exited.is_set():
            listener()
        else:
            self._listeners.append(listener)

    def send_signal(self, number: int) -> None:
        """Sends a signal; nothing happens when it has ended."""
        if self._fd >= 0:
            try:
                signal.pidfd_send_signal(self._fd, number)
            except ProcessLookupError:
                pass

    async def wait(self, timeout_s: float) -> bool:
        """Whether it has ended within that time."""
        try:
            await within(timeout_s, self.exited.wait())
        except asyncio.TimeoutError:
            return False
        return True

    async def end(self, grace_s: float) -> None:
        """SIGTERM, then SIGKILL after `grace_s`."""
        self.send_signal(signal.SIGTERM)
        if not await self.wait(grace_s):
            self.send_signal(signal.SIGKILL)
            await self.wait(10.0)

    def close(self) -> None:
        """Stops watching."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _ended(self) -> None:
        if self._child is not None:
            self.status = self._child.poll()
        self.close()
        self.exited.set()
        for listener in self._listeners:
            listener()


def start_ticks(pid: int) -> int:
    """When a process started, in clock ticks since boot: with the pid it names one process. 0 when it does not exist."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    fields = stat.rpartition(")")[2].split()
    return 0 if fields[0] in ("Z", "X") else int(fields[19])


def describe_exit(status: int | None, *, out_of_memory: bool = False) -> str:
    """What ended a process, in words."""
    if out_of_memory:
        return "killed by SIGKILL: out of memory (its memory limit)"
    if status is None:
        return "ended (exit status unknown)"
    if status >= 0:
        return f"exited with code {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    if -status == signal.SIGKILL:
        return f"killed by {name} (by hand, or by the machine when it ran out of memory)"
    return f"killed by {name}"
