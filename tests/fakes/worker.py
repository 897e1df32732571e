"""A worker that speaks the protocol and does what a test tells it: answers, holds, streams, refuses, dies. In the test's own loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tests.fakes import listening

from headgate_worker import protocol


class Received:
    """A request as it arrived, and the ways to answer it."""

    def __init__(self, peer: _Peer, number: int, meta: dict[str, Any], body: bytes) -> None:
        self.meta = meta
        self.body = body
        self.cancelled = asyncio.Event()
        self._peer = peer
        self._number = number

    def reply(self, body: bytes, *, status: int = 200, content_type: str = "application/json") -> None:
        meta = {"status": status, "content_type": content_type, "queue_us": 100, "execute_us": 2000}
        self._peer.write(protocol.encode_with_meta(protocol.REPLY, self._number, json.dumps(meta).encode(), body))

    def stream(self, content_type: str = "text/event-stream") -> None:
        self._peer.write(
            protocol.encode_json(protocol.STREAM, self._number, {"status": 200, "content_type": content_type})
        )

    def chunk(self, chunk: bytes) -> None:
        self._peer.write(protocol.encode(protocol.CHUNK, self._number, chunk))

    def end(self) -> None:
        self._peer.write(protocol.encode(protocol.END, self._number))

    def raw(self, kind: int, payload: bytes) -> None:
        """Any frame, also one that breaks the protocol."""
        self._peer.write(protocol.encode(kind, self._number, payload))


Behaviour = Callable[[Received], Awaitable[None]]


async def echo(request: Received) -> None:
    """Answers with the body it was sent."""
    request.reply(request.body)


async def silence(request: Received) -> None:
    """Never answers."""


class FakeWorker:
    """One replica on a Unix socket. `behave` may be changed at any time."""

    def __init__(self, path: Path, *, name: str = "replica-1", window: int = 4, behave: Behaviour = echo) -> None:
        self.path = path
        self.name = name
        self.window = window
        self.behave = behave
        self.version = protocol.VERSION
        self.start_told: dict[str, object] = {}
        """What it says of its start when a server connects."""
        self.received: list[Received] = []
        self.roles: list[str] = []
        self.executing = 0
        self.most_executing = 0
        self.peers: set[_Peer] = set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        return f"unix:{self.path}"

    async def start(self) -> FakeWorker:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: _Peer(self), str(self.path))
        return self

    def die(self) -> None:
        """As kill -9 does: the socket stays in the file system and refuses, every connection is lost."""
        if self._server is not None:
            self._server.close()
        for peer in list(self.peers):
            peer.transport.abort()

    async def stop(self) -> None:
        if self._server is not None:
            await listening.close(self._server)
        self.die()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def accept(self, request: Received) -> None:
        self.received.append(request)
        task = asyncio.ensure_future(self._run(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, request: Received) -> None:
        self.executing += 1
        self.most_executing = max(self.most_executing, self.executing)
        try:
            await self.behave(request)
        finally:
            self.executing -= 1


class _Peer(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, worker: FakeWorker) -> None:
        self._worker = worker
        self._decoder = protocol.Decoder()
        self._requests: dict[int, Received] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self._worker.peers.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._worker.peers.discard(self)

    def write(self, frame: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(frame)

    def data_received(self, data: bytes) -> None:
        for kind, number, payload in self._decoder.feed(data):
            if kind == protocol.HELLO:
                self._worker.roles.append(json.loads(payload)["role"])
                window = self._worker.window
                hello = {
                    "version": self._worker.version,
                    "replica": self._worker.name,
                    "slots": window,
                    "window": window,
                    **self._worker.start_told,
                }
                self.write(protocol.encode_json(protocol.HELLO, 0, hello))
            elif kind == protocol.REQUEST:
                meta, body = protocol.split_meta(payload)
                self._requests[number] = Received(self, number, meta, body)
                self._worker.accept(self._requests[number])
            elif kind == protocol.CANCEL and number in self._requests:
                self._requests[number].cancelled.set()
