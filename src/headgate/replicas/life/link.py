"""The agent's connection to one worker: HELLO, PING, DRAIN of `headgate_worker.protocol`. Used by `life.replica`, which decides.

Nothing here waits: frames are written at once, what came back is read from the fields.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, fields

from headgate.clock import within
from headgate_worker import protocol


@dataclass(frozen=True, slots=True)
class Health:
    """A worker's last PONG."""

    executing: int = 0
    queued: int = 0
    stuck: int = 0
    """Threads that execute only requests past their deadline."""
    served: int = 0
    batches: int = 0
    """Predictions that answered several requests."""
    joined: int = 0
    """Requests answered by them."""
    mismatches: int = 0
    """Answers of the fast path that differed from MLflow's."""


class Link(asyncio.Protocol):
    """One connection. Opened with `connect`; a closed one is replaced by a new one."""

    def __init__(self) -> None:
        self.health = Health()
        self.heard_at = time.monotonic()
        """When the worker last sent anything."""
        self.answered = asyncio.Event()
        """Set by the first PONG."""
        self._transport: asyncio.WriteTransport | None = None
        self._decoder = protocol.Decoder()

    @staticmethod
    async def connect(path: str, timeout_s: float) -> Link:
        """A new connection that has said HELLO. Raises OSError or asyncio.TimeoutError."""
        loop = asyncio.get_running_loop()
        _, link = await within(timeout_s, loop.create_unix_connection(Link, path))
        return link

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def ping(self) -> None:
        """Asks for a PONG."""
        self._send(protocol.encode(protocol.PING, 0))

    def drain(self) -> None:
        """Tells the worker to finish what it has and exit."""
        self._send(protocol.encode(protocol.DRAIN, 0))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._send(protocol.encode_json(protocol.HELLO, 0, {"version": protocol.VERSION, "role": "agent"}))

    def data_received(self, data: bytes) -> None:
        self.heard_at = time.monotonic()
        try:
            for frame in self._decoder.feed(data):
                if frame.kind == protocol.PONG:
                    self._pong(frame.payload)
        except (protocol.ProtocolError, ValueError, TypeError):
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def _pong(self, payload: bytes) -> None:
        told = json.loads(payload)
        self.health = Health(**{each.name: int(told.get(each.name, 0)) for each in fields(Health)})
        self.answered.set()

    def _send(self, frame: bytes) -> None:
        if self._transport is not None:
            self._transport.write(frame)
