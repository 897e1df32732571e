"""Long bodies are translated and looked at in threads of their own: on the event loop everybody else's requests would wait for seconds.

Asked by the step `parse`, by `vendors.attempts` and by `watching`. What is short is done at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from headgate import errors

T = TypeVar("T")

AT_ONCE_BYTES = 32 * 1024
"""Of what is taken apart value by value: tens of microseconds per KiB, at worst a millisecond."""
_THREADS = 2
MOST_WAITING = 256
"""Each holds a body of megabytes; more are refused."""


class Aside:
    """Threads, made when they are first needed. One per step and server process."""

    def __init__(self, name: str = "translating") -> None:
        # Of its own: threads that wait for a database that is away must not keep requests waiting.
        self._threads = ThreadPoolExecutor(_THREADS, name)
        self._waiting = 0

    async def do(self, long: bool, work: Callable[[], T]) -> T:
        """What `work` returns or raises; in a thread when it takes `long`. Raises TemporarilyUnavailable when too many wait for one."""
        if not long:
            return work()
        if self._waiting >= MOST_WAITING:
            message = "Too many long requests are being worked on. Try again in a moment, or send less per request."
            raise errors.TemporarilyUnavailable(message, headers={"retry-after": "1"})
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1

    def stop(self) -> None:
        """Begins nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)
