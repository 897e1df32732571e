"""The numbers of one process as a small JSON file, so that any process of the machine can show them all.

Used by `counting` only. Writing is atomic; a snapshot that cannot be read is left out, never raised.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

FRESH_S = 30.0
"""A snapshot not touched for this long belongs to a process that is no more: its gauges do not count."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One child of a metric at one moment."""

    name: str
    labels: tuple[str, ...]
    value: float
    """Of a histogram: the sum of what was observed."""
    last_minute: float = 0.0
    counts: tuple[int, ...] = ()
    """Of a histogram: observations per bucket, not cumulated."""
    fresh: bool = True
    """Whether the process that counted it lives."""


def encode(samples: Iterable[Sample]) -> bytes:
    """The file's content."""
    return orjson.dumps([[s.name, s.labels, s.value, s.last_minute, s.counts] for s in samples])


def write(path: Path, content: bytes, *, changed: bool) -> None:
    """Replaces the file, or says that it is still true. Raises OSError."""
    if not changed:
        try:
            os.utime(path)
            return
        except FileNotFoundError:
            pass  # swept away: write it anew
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}.new")
    draft.write_bytes(content)
    draft.replace(path)


def read(path: Path) -> list[Sample]:
    """What a process left; empty when there is nothing readable."""
    try:
        rows = orjson.loads(path.read_bytes())
        fresh = path.stat().st_mtime >= time.time() - FRESH_S
        samples = [
            Sample(name, tuple(labels), value, recent, tuple(counts)) for name, labels, value, recent, counts in rows
        ]
    except (OSError, ValueError, TypeError):
        return []
    return samples if fresh else [replace(sample, fresh=False, last_minute=0.0) for sample in samples]


def read_all(folder: Path) -> list[Sample]:
    """Everything every process left."""
    return [sample for path in sorted(folder.glob("*.json")) for sample in read(path)]
