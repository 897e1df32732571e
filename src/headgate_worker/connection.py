"""One connection of a server or the agent to this worker: frames in, frames out. Made by `serving` for each that is accepted.

What goes wrong with one frame concerns that request only; only a peer that breaks the protocol loses its connection.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from typing import Dict, List, Optional, Protocol

from headgate_worker import protocol
from headgate_worker.executing import Job, refusal

_WRITE_AHEAD_BYTES = 1024 * 1024
_log = logging.getLogger("headgate_worker")


class Host(Protocol):
    """What a connection talks to."""

    def hello(self) -> bytes: ...
    def health(self) -> bytes: ...
    def accept(self, connection: Connection, request_id: int, payload: bytes) -> None: ...
    def abandon(self, job: Job) -> None: ...
    def drain(self) -> None: ...
    def opened(self, connection: Connection) -> None: ...
    def closed(self, connection: Connection) -> None: ...


class Connection(asyncio.Protocol):
    """Frames of one turn of the loop are written together."""

    def __init__(self, host: Host, loop: asyncio.AbstractEventLoop) -> None:
        self.jobs: Dict[int, Job] = {}
        """Unanswered, by request id."""
        self.role = ""
        """`server` or `agent`, once it has said so."""
        self._host = host
        self._loop = loop
        self._decoder = protocol.Decoder()
        self._transport: Optional[asyncio.Transport] = None
        self._out: List[bytes] = []
        self._rooms: List[threading.Semaphore] = []
        self._is_paused = False
        self._is_scheduled = False

    @property
    def is_congested(self) -> bool:
        """Whether the peer does not read fast enough."""
        return self._is_paused

    def send(self, frame: bytes, room: Optional[threading.Semaphore] = None) -> None:
        """Writes it with this turn's others; gives `room` back once it is out. Dropped when the peer has left."""
        if self._transport is None:
            if room is not None:
                room.release()
            return
        self._out.append(frame)
        if room is not None:
            self._rooms.append(room)
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        """Closes it after what has been sent."""
        self._is_paused = False
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def _flush(self) -> None:
        self._is_scheduled = False
        if self._is_paused or not self._out or self._transport is None:
            return
        frames, self._out = self._out, []
        rooms, self._rooms = self._rooms, []
        if not self._transport.is_closing():
            self._transport.write(frames[0] if len(frames) == 1 else b"".join(frames))
        for room in rooms:
            room.release()

    # -- asyncio.Protocol ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A model's libraries may have put uvloop in charge, whose transports are no subclasses.
        self._transport = transport  # type: ignore[assignment]
        transport.set_write_buffer_limits(high=_WRITE_AHEAD_BYTES)  # type: ignore[attr-defined]
        self._host.opened(self)

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._decoder.feed(data):
                self._handle(frame)
        except protocol.ProtocolError as error:
            _log.error("a connection is closed: %s", error)
            if self._transport is not None:
                self._transport.close()

    def pause_writing(self) -> None:
        self._is_paused = True

    def resume_writing(self) -> None:
        self._is_paused = False
        self._flush()

    def connection_lost(self, exc: Optional[Exception]) -> None:
        self._transport = None
        for room in self._rooms:
            room.release()
        self._out, self._rooms = [], []
        for job in list(self.jobs.values()):
            self._host.abandon(job)
        self._host.closed(self)

    # -- frames --------------------------------------------------------------------------------------------------

    def _handle(self, frame: protocol.Frame) -> None:
        try:
            self._dispatch(frame)
        except protocol.ProtocolError:
            raise
        except Exception as error:
            _log.exception("frame of kind %d failed", frame.kind)
            if frame.kind == protocol.REQUEST:
                self.send(refusal(frame.request_id, 500, "INTERNAL_ERROR", f"The worker failed: {error}"))

    def _dispatch(self, frame: protocol.Frame) -> None:
        kind = frame.kind
        if kind == protocol.REQUEST:
            self._host.accept(self, frame.request_id, frame.payload)
        elif kind == protocol.CANCEL:
            job = self.jobs.get(frame.request_id)
            if job is not None:
                self._host.abandon(job)
        elif kind == protocol.PING:
            self.send(protocol.encode(protocol.PONG, frame.request_id, self._host.health()))
        elif kind == protocol.HELLO:
            self._greet(frame.payload)
        elif kind == protocol.DRAIN:
            self._host.drain()
        else:
            raise protocol.ProtocolError(f"a client sent a frame of kind {kind}")

    def _greet(self, payload: bytes) -> None:
        try:
            told = json.loads(payload)
            version, role = told["version"], told["role"]
        except (ValueError, KeyError, TypeError) as error:
            raise protocol.ProtocolError(f"malformed HELLO: {error!r}") from error
        # Answered even when versions differ: only then does the client know why it is refused.
        self.send(protocol.encode(protocol.HELLO, 0, self._host.hello()))
        if version != protocol.VERSION:
            self._flush()
            raise protocol.ProtocolError(f"the client speaks version {version}, this worker {protocol.VERSION}")
        self.role = "agent" if role == "agent" else "server"
