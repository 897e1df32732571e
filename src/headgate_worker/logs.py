"""The service log of a replica: stdout, stderr and `logging` as lines of `protocol.log_line`, rotated by size.

Installed once per process (a zygote's child only points it to another file). Descriptors 1 and 2 end in the same file, so that
output of C code and crash messages are kept. A log that cannot be written never hurts the model.
"""

from __future__ import annotations

import atexit
import io
import logging
import os
import sys
import threading
from typing import Any, BinaryIO, Callable, Optional

from headgate_worker import protocol, redaction

_PARTIAL_LINE_LIMIT = 8192


class ServiceLog:
    """Where everything the process says goes. Until `open` that is descriptor 2."""

    def __init__(self, replica: str) -> None:
        self.listener: Optional[Callable[[str], None]] = None
        """Also gets each line, in whichever thread said it."""
        self._replica = replica
        self._path = ""
        self._limit_bytes = 0
        self._descriptor = 2
        self._lock = threading.Lock()

    def open(self, path: str, replica: str, limit_bytes: int) -> None:
        """Appends to `path` from now on. Raises OSError."""
        self._path, self._replica, self._limit_bytes = path, replica, limit_bytes
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self._descriptor = os.dup(2)
        os.set_inheritable(self._descriptor, False)
        self._point_to_file()

    def record(self, stream: str, message: str) -> None:
        """Writes one record; `stream` is stdout, stderr or a level."""
        line = protocol.log_line(self._replica, stream, redaction.redacted(message))
        try:
            text = line.encode("utf-8", "backslashreplace")
            with self._lock:
                if self._limit_bytes and os.fstat(self._descriptor).st_size + len(text) > self._limit_bytes:
                    self._rotate()
                os.write(self._descriptor, text)
        except OSError:
            pass
        listener = self.listener
        if listener is not None:
            listener(line)

    def _rotate(self) -> None:
        if os.fstat(self._descriptor).st_size:
            os.replace(self._path, f"{self._path}.1")
            self._point_to_file()

    def _point_to_file(self) -> None:
        fresh = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.dup2(fresh, self._descriptor, inheritable=False)
            os.dup2(fresh, 1)
            os.dup2(fresh, 2)
        finally:
            os.close(fresh)


class LineStream(io.TextIOBase):
    """Stands in for sys.stdout or sys.stderr: whole lines become records. Lines of several threads do not mix."""

    def __init__(self, log: ServiceLog, name: str, descriptor: int) -> None:
        self._log = log
        self._name = name
        self._descriptor = descriptor
        self._binary: Optional[BinaryIO] = None
        self._mine = threading.local()

    def write(self, text: str) -> int:
        """Keeps what does not end a line until its end comes."""
        whole, newline, rest = (getattr(self._mine, "rest", "") + text).rpartition("\n")
        if len(rest) > _PARTIAL_LINE_LIMIT:
            whole, newline, rest = whole + newline + rest, "\n", ""
        self._mine.rest = rest
        if newline:
            self._log.record(self._name, whole)
        return len(text)

    def finish(self) -> None:
        """Ends the line that this thread has begun."""
        if getattr(self._mine, "rest", ""):
            self.write("\n")

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        """Stays open: a model that closes stdout must not lose its log."""

    @property
    def name(self) -> str:
        return f"<{self._name}>"

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        return "backslashreplace"

    @property
    def buffer(self) -> BinaryIO:
        """For bytes; they reach the log as they are."""
        if self._binary is None:
            self._binary = os.fdopen(self._descriptor, "wb", buffering=0, closefd=False)
        assert self._binary is not None
        return self._binary


class _Records(logging.Handler):
    def __init__(self, log: ServiceLog) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._log.record(record.levelname, f"{record.name}: {self.format(record)}")
        except Exception:
            self.handleError(record)


def install(replica: str) -> ServiceLog:
    """Turns stdout, stderr and log records of this process into lines."""
    log = ServiceLog(replica)
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = LineStream(log, name, descriptor)
        setattr(sys, name, stream)
        atexit.register(stream.finish)
    # The last resort, not a handler of the root logger: a model's own `logging.basicConfig` still has its effect.
    logging.lastResort = _Records(log)
    logging.captureWarnings(False)
    sys.excepthook = _excepthook(log)
    return log


def _excepthook(log: ServiceLog) -> Callable[..., Any]:
    formatter = logging.Formatter()

    def hook(kind: Any, error: Any, trace: Any) -> None:
        log.record("CRITICAL", formatter.formatException((kind, error, trace)))

    return hook
