"""Reads service logs and build logs for the API, and bounds what is kept. Plain file reading; safe from any process.

A service log is a folder with one file per replica (`<replica id>.log`, one rotated `<replica id>.log.1`), whose records
are lines that begin with a UTC time; lines that do not belong to the record above them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_STAMP = re.compile(rb"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ")


def read_service_logs(folder: Path, limit_bytes: int) -> str:
    """The last `limit_bytes` of all replicas of an entity, merged by time. Empty when there are none."""
    records: list[tuple[bytes, int, bytes]] = []
    files = sorted((path for path in _entries(folder) if ".log" in path.name), key=_modified_at, reverse=True)
    budget = limit_bytes * 2  # a file's tail may be older than all of another's
    for path in files:
        if budget <= 0:
            break
        tail = _tail(path, min(limit_bytes, budget))
        budget -= len(tail)
        records += [(stamp, len(records) + number, text) for number, (stamp, text) in enumerate(_records(tail))]
    merged = b"".join(text for _, _, text in sorted(records))
    return _last(merged, limit_bytes).decode("utf-8", "replace")


def read_build_log(path: Path, limit_bytes: int) -> str:
    """The last `limit_bytes` of a build log. Empty when there is none."""
    return _tail(path, limit_bytes).decode("utf-8", "replace")


def last_lines(path: Path, count: int) -> str:
    """The last `count` lines of a log, for error messages."""
    lines = _tail(path, 200 * count).decode("utf-8", "replace").splitlines()
    return "\n".join(lines[-count:])


def prune(folder: Path, *, keep_files: int, keep: frozenset[str]) -> None:
    """Deletes the oldest logs of ended replicas beyond `keep_files`. Files of the replica ids in `keep` stay."""
    ended = [path for path in _entries(folder) if path.name.partition(".log")[0] not in keep]
    for path in sorted(ended, key=_modified_at, reverse=True)[keep_files:]:
        path.unlink(missing_ok=True)


def _entries(folder: Path) -> list[Path]:
    try:
        return [Path(entry.path) for entry in os.scandir(folder) if entry.is_file()]
    except OSError:
        return []


def _modified_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _tail(path: Path, limit_bytes: int) -> bytes:
    """Whole lines from the end of a file, at most that many bytes."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            start = max(size - limit_bytes, 0)
            file.seek(max(start - 1, 0))
            content = file.read(limit_bytes + 1)
    except OSError:
        return b""
    return content if start == 0 else content[content.find(b"\n") + 1 :]


def _last(text: bytes, limit_bytes: int) -> bytes:
    if len(text) <= limit_bytes:
        return text
    cut = text[-limit_bytes - 1 :]
    return cut[cut.find(b"\n") + 1 :]


def _records(text: bytes) -> list[tuple[bytes, bytes]]:
    """(time, record) pairs; lines without a time belong to the record before them."""
    found: list[tuple[bytes, list[bytes]]] = []
    for line in text.splitlines(keepends=True):
        line = line if line.endswith(b"\n") else line + b"\n"
        stamp = line[:24] if _STAMP.match(line) else b""
        if stamp or not found:
            found.append((stamp, [line]))
        else:
            found[-1][1].append(line)
    return [(stamp, b"".join(lines)) for stamp, lines in found]
