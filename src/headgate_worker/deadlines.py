"""Sees to requests that are past their deadline: one timer for all of them. Used by `serving`, on its loop."""

from __future__ import annotations

import asyncio
import time
from typing import Callable, Collection, List, Optional

from headgate_worker.executing import Job

_NEVER = float("inf")


class Deadlines:
    """Times are `time.monotonic`, which is the loop's."""

    def __init__(self, loop: asyncio.AbstractEventLoop, unfinished: Collection[Job]) -> None:
        self._loop = loop
        self._unfinished = unfinished
        self._timer: Optional[asyncio.TimerHandle] = None
        self._first = _NEVER

    def note(self, deadline: float) -> None:
        """Of a request that has come in this turn."""
        if deadline < self._first:
            self._first = deadline

    def watch(self, expire: Callable[[], None]) -> None:
        """Has `expire` called when the first of them passes; unless all are answered already."""
        first, self._first = self._first, _NEVER
        if first == _NEVER or not self._unfinished or (self._timer is not None and self._timer.when() <= first):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(first, expire)

    def passed(self) -> List[Job]:
        """Requests that are overdue and not answered. The others are noted anew. To be asked by `expire`."""
        self._timer = None
        now = time.monotonic()
        late = []
        for job in self._unfinished:
            if not job.is_open:
                continue
            if job.deadline <= now:
                late.append(job)
            else:
                self.note(job.deadline)
        return late
