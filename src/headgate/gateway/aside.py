"""Long bodies are translated in threads of their own: on the event loop everybody else's requests would wait for seconds.

Asked by the step `parse` and by `vendors.attempts`. What is short is done at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

AT_ONCE_BYTES = 32 * 1024
"""Of what is taken apart value by value: tens of microseconds per KiB, at worst a millisecond."""
_THREADS = 2


class Aside:
    """Threads, made when they are first needed. One per step and server process."""

    def __init__(self) -> None:
        # Of its own: threads that wait for a database that is away must not keep requests from being translated.
        self._threads = ThreadPoolExecutor(_THREADS, "translating")

    async def do(self, long: bool, work: Callable[[], T]) -> T:
        """What `work` returns or raises; in a thread when it takes `long`."""
        if not long:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
