"""The service log's lines on their way to the agents that are connected. Made by `serving`; heard by `logs.ServiceLog`."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Collection, Deque

from headgate_worker import protocol
from headgate_worker.connection import Connection

_LINES_AHEAD = 1000
"""The oldest is dropped for one more: the file has them all."""


class LogFeed:
    """Passes lines on."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connections: Collection[Connection]) -> None:
        self._loop = loop
        self._connections = connections
        self._lines: Deque[str] = deque(maxlen=_LINES_AHEAD)

    def hear(self, line: str) -> None:
        """Called by whichever thread logs; agents get the line on the loop."""
        if self._lines:
            self._lines.append(line)
            return
        self._lines.append(line)
        try:
            self._loop.call_soon_threadsafe(self._pass_on)
        except RuntimeError:
            self._lines.clear()  # the loop is closed

    def _pass_on(self) -> None:
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        for connection in self._connections:
            if connection.role == "agent" and not connection.is_congested:
                for line in lines:
                    connection.send((protocol.encode(protocol.LOG, 0, line.encode("utf-8", "backslashreplace")),))
