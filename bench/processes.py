"""A server process and everything below it: start, first answer, CPU and memory of the tree, stop. Called by the bench scripts.

Linux only (/proc). Ends only what it started, by process id.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
STOP_DEADLINE_S = 15.0
SETTLE_DEADLINE_S, SETTLE_WINDOW_S, IDLE_CORES = 180.0, 0.25, 0.1


@dataclass(frozen=True, slots=True)
class Launch:
    """How a server is started and asked."""

    command: tuple[str, ...]
    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None


class ServerProcess:
    """A started command. `log` gets what it prints."""

    def __init__(self, launch: Launch, log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log
        environ = {**os.environ, "PYTHONWARNINGS": "ignore", **launch.environ}
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                launch.command, env=environ, cwd=launch.folder, stdout=out, stderr=out, start_new_session=True
            )

    def wait_until_it_answers(self, launch: Launch, deadline_s: float = 120.0) -> Any:
        """The first 200's body, decoded. Raises RuntimeError when the process ends or takes too long."""
        last, deadline = "nothing", time.monotonic() + deadline_s
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                return ask(launch)
            except urllib.error.HTTPError as error:
                last = f"{error.code} {error.read()[:500]!r}"
            except OSError as error:
                last = repr(error)
            time.sleep(0.1)
        tail = self._log.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{launch.command[0]} does not answer; last: {last}; log {self._log}:\n{tail}")

    @property
    def pids(self) -> list[int]:
        """The process and its descendants, alive now."""
        return tree(self._process.pid)

    def wait_until_idle(self) -> None:
        """Until the tree hardly uses CPU: a server goes on with requests whose client has left, which would slow the next one's round."""
        deadline = time.monotonic() + SETTLE_DEADLINE_S
        while time.monotonic() < deadline:
            before = cpu_s(self.pids)
            time.sleep(SETTLE_WINDOW_S)
            if cpu_s(self.pids) - before <= IDLE_CORES * SETTLE_WINDOW_S:
                return
        print(f"  (pid {self._process.pid} did not come to rest in {SETTLE_DEADLINE_S:.0f} s)", flush=True)

    def stop(self) -> None:
        """SIGTERM to the first process, then SIGKILL to whatever of the tree is left."""
        tree_then = self.pids
        self._process.terminate()
        try:
            self._process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pid in tree_then:  # of our session: a number taken anew by somebody else's process is left alone
            if _session(pid) == self._process.pid:
                os.kill(pid, signal.SIGKILL)


def ask(launch: Launch) -> Any:
    """One request over a connection of its own. Raises urllib's errors."""
    headers = {"content-type": "application/json", **launch.headers}
    request = urllib.request.Request(launch.url, data=launch.body, headers=headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


def tree(root: int) -> list[int]:
    """`root` and its descendants."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (fields := _stat(int(name))):
            children.setdefault(int(fields[1]), []).append(int(name))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return sorted(found)


def pids_of(pids: list[int], mark: str) -> list[int]:
    """Those whose command line has `mark` in it."""
    return [pid for pid in pids if mark in command_line(pid)]


def command_line(pid: int) -> str:
    """Empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def parent_of(pid: int) -> int:
    """0 when it is gone."""
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def cpu_s(pids: list[int]) -> float:
    """CPU seconds these processes have used, user and system."""
    return sum(int(fields[11]) + int(fields[12]) for pid in pids if (fields := _stat(pid))) / TICKS_PER_S


def pss_mb(pids: list[int]) -> float:
    """Megabytes of memory they use, what is shared counted once."""
    kilobytes = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kilobytes / 1024


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _stat(pid: int) -> list[str]:
    """Fields of /proc/<pid>/stat from the state on; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return []


def _session(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[3]) if fields else 0
