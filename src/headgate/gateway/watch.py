"""Watches for the client of one request to leave, and then ends the work for it.

Costs a request that is answered quickly one timer: only slow ones and streams get a task that listens to their client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

SLOW_S = 0.02
"""Requests answered within this time are not watched."""

STREAM_GRACE_S = 60.0
"""A stream's client may take this much longer than the execution limit to read it."""


class Watch:
    """Made in the task that answers the request."""

    __slots__ = ("_limit", "_listener", "_receive", "_stopped", "_task", "_timer", "aborted")

    def __init__(self, receive: Callable[[], Awaitable[MutableMapping[str, Any]]]) -> None:
        self.aborted = False
        """Whether the task was cancelled by this watch."""
        self._receive = receive
        self._task: asyncio.Task[Any] | None = asyncio.current_task()
        self._timer: asyncio.TimerHandle | None = None
        self._limit: asyncio.TimerHandle | None = None
        self._listener: asyncio.Task[None] | None = None
        self._stopped = False

    def start(self) -> None:
        """The body is read: from now on the client can only leave."""
        self._timer = asyncio.get_running_loop().call_later(SLOW_S, self._begin)

    def start_now(self, limit_s: float) -> None:
        """The answer is a stream, which may take `limit_s` and a while for reading."""
        if self._timer is not None:
            self._timer.cancel()
        self._begin()
        self._limit = asyncio.get_running_loop().call_later(limit_s + STREAM_GRACE_S, self.abort)

    def abort(self) -> None:
        """Cancels the request's task, once."""
        if not self._stopped and not self.aborted and self._task is not None:
            self.aborted = True
            self._task.cancel()

    async def stop(self) -> None:
        """The request is over."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        if self._limit is not None:
            self._limit.cancel()
        # Let go of: a task that was cancelled knows its frame, which knows this watch, which must not know the task.
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)

    def _begin(self) -> None:
        if self._listener is None and not self._stopped:
            self._listener = asyncio.create_task(self._listen(), name="client watch")

    async def _listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.abort()
