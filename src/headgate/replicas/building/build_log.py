"""The log of one environment's build, a line per event with its time. Written by the build, read through `replicas.logs`."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType


class BuildLog:
    """Appends timed lines to a file that begins anew with each build. A full disk loses lines, never the build's own error."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w", encoding="utf-8", errors="replace", buffering=1)

    def write(self, text: str) -> None:
        """One or more lines."""
        now = time.time()
        stamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now * 1000) % 1000:03d}Z"
        try:
            for line in text.rstrip("\n").split("\n"):
                self._file.write(f"{stamp} {line}\n")
        except OSError:
            pass

    def __enter__(self) -> BuildLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
        except OSError:
            pass
