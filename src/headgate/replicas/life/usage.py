"""CPU and memory a process has used, from /proc. Called by the agent for metrics and by its health rule."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used."""

    cpu_seconds: float
    """User and system time since it started, its ended children included."""
    rss_bytes: int
    """Resident memory, pages shared with other processes included."""


def of_process(pid: int) -> Usage | None:
    """Usage of a living process, None for one that is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    ticks = sum(int(fields[index]) for index in (11, 12, 13, 14))
    return Usage(cpu_seconds=ticks / _TICKS_PER_S, rss_bytes=int(fields[21]) * _PAGE_BYTES)
