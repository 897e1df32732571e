"""The one source of time, handed to whoever needs it so that tests can move it by hand; and waiting with a deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Clock(Protocol):
    """Wall-clock and monotonic time."""

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch."""

    def monotonic_s(self) -> float:
        """Seconds from an arbitrary start; never goes back."""


class SystemClock:
    """The machine's clocks."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    # Asked several times per request: the function itself, without a frame of ours around it.
    monotonic_s = staticmethod(time.monotonic)


async def within(timeout_s: float, work: Awaitable[T]) -> T:
    """The work's result; after that time it is cancelled and asyncio.TimeoutError raised.

    In place of `asyncio.wait_for`, which before Python 3.12 drops a cancellation that comes in the same turn of the loop
    as the result: a loop around it then never ends, nor does the shutdown that waits for it.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=timeout_s)
    except asyncio.CancelledError:
        await _end(task)
        raise
    if not task.done():
        await _end(task)
        if task.cancelled():
            raise asyncio.TimeoutError
    try:
        return task.result()
    finally:
        # Or an error would hold this frame, which holds the task, which holds the error: what it has seen would stay until the next collection.
        del task, work


async def _end(task: asyncio.Future[T]) -> None:
    """Cancels it and waits until it is over, however it ends."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()  # so that asyncio does not report it as never looked at
