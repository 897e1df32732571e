"""`status.json`: the truth about a worker, which the agent reads. Written atomically by the worker; a datagram hints at each change.

{"replica", "pid", "start_ticks", "state": STARTING|READY|DRAINING|FAILED, "phase": import|load|first_predict|serve, "message",
"how": fork|exec, "phases_ms": {phase: milliseconds}, "modules": [environment's modules after the first prediction]}
"""

from __future__ import annotations

import json
import os
import socket
from typing import Any, Dict, List

from headgate_worker import redaction
from headgate_worker.specification import WorkerSpec

STARTING, READY, DRAINING, FAILED = "STARTING", "READY", "DRAINING", "FAILED"


class StatusFile:
    """The status of this process. `tell` changes some of it and writes all of it."""

    def __init__(self, spec: WorkerSpec, how: str) -> None:
        self._path = spec.status_path
        self._notify = spec.notify_socket
        self._hint = spec.replica.encode()
        self._told: Dict[str, Any] = {
            "replica": spec.replica,
            "pid": os.getpid(),
            "start_ticks": start_ticks(),
            "state": STARTING,
            "phase": "import",
            "message": "",
            "how": how,
            "phases_ms": dict(spec.phases_ms),
            "modules": [],
        }

    def tell(self, **changes: Any) -> None:
        """Writes the status with these changes. Raises OSError when its folder is gone."""
        self._told.update(changes)
        self._told["message"] = redaction.redacted(str(self._told["message"]))
        temporary = f"{self._path}.{os.getpid()}.tmp"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(self._told, file)
        os.replace(temporary, self._path)
        self._send_hint()

    @property
    def phases_ms(self) -> Dict[str, float]:
        """How long each phase took so far, in their order."""
        return dict(self._told["phases_ms"])

    def took(self, phase: str, milliseconds: float) -> None:
        """Adds to how long a phase took; written with the next `tell`."""
        so_far = self._told["phases_ms"].get(phase, 0.0)
        self._told["phases_ms"] = {**self._told["phases_ms"], phase: round(so_far + milliseconds, 3)}

    def summary(self) -> str:
        """What the start was like, in words, for the service log."""
        phases = ", ".join(f"{phase} {ms:.0f} ms" for phase, ms in self._told["phases_ms"].items())
        return f"is ready ({self._told['how']}: {phases})"

    def knows_modules(self, modules: List[str]) -> None:
        """Writes which of the environment's modules were needed."""
        self.tell(modules=modules)

    def _send_hint(self) -> None:
        if not self._notify:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hint:
                hint.setblocking(False)
                hint.sendto(self._hint, self._notify)
        except OSError:
            pass  # only a hint: the agent also looks by itself


def start_ticks() -> int:
    """When this process started, in clock ticks since boot: with the pid it names one process."""
    with open("/proc/self/stat", encoding="ascii", errors="replace") as file:
        return int(file.read().rpartition(")")[2].split()[19])


def rss_bytes() -> int:
    """Resident memory of this process; 0 when it cannot be told."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
