"""One connection of a server or the agent to this worker: frames in, frames out. Made by `serving` for each that is accepted.

What goes wrong with one frame concerns that request only; only a peer that breaks the protocol loses its connection.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from typing import Dict, List, Optional, Protocol, Tuple

from headgate_worker import protocol
from headgate_worker.executing import Frame, Job

_WRITE_AHEAD_BYTES = 1024 * 1024
_LARGE_BYTES = 64 * 1024
"""Parts of this size are written by themselves: joining would copy them."""
_log = logging.getLogger("headgate_worker")


Asked = Tuple[bytes, bytes]
"""Meta, not parsed, and body of a REQUEST."""


class Host(Protocol):
    """What a connection talks to."""

    def hello(self) -> bytes: ...
    def health(self) -> bytes: ...
    def turn_begins(self) -> None: ...
    def turn_ends(self) -> None: ...
    def flush_later(self, connection: Connection) -> None: ...
    def accept(self, connection: Connection, request_id: int, asked: Asked) -> None: ...
    def fail(self, connection: Connection, request_id: int, error: Exception) -> None: ...
    def abandon(self, job: Job) -> None: ...
    def greeted(self, connection: Connection) -> None: ...
    def drain(self) -> None: ...
    def opened(self, connection: Connection) -> None: ...
    def closed(self, connection: Connection) -> None: ...


class Connection(asyncio.Protocol):
    """Frames of one turn are written together."""

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

    def send(self, frame: Frame, room: Optional[threading.Semaphore] = None) -> None:
        """Writes it with this turn's others; gives `room` back once it is out. Dropped when the peer has left."""
        if self._transport is None:
            if room is not None:
                room.release()
            return
        self._out += frame
        if room is not None:
            self._rooms.append(room)
        if not self._is_scheduled:
            self._is_scheduled = True
            self._host.flush_later(self)

    def close(self) -> None:
        """Closes it after what has been sent."""
        self._is_paused = False
        self.flush()
        if self._transport is not None:
            self._transport.close()

    def flush(self) -> None:
        """Writes what is to be sent, unless the peer does not read."""
        self._is_scheduled = False
        if self._is_paused or not self._out or self._transport is None:
            return
        parts, self._out = self._out, []
        rooms, self._rooms = self._rooms, []
        if not self._transport.is_closing():
            if max(map(len, parts)) > _LARGE_BYTES:
                _write_apart(self._transport, parts)
            else:
                self._transport.write(b"".join(parts))
        for room in rooms:
            room.release()

    # -- asyncio.Protocol ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A model's libraries may have put uvloop in charge, whose transports are no subclasses.
        self._transport = transport  # type: ignore[assignment]
        transport.set_write_buffer_limits(high=_WRITE_AHEAD_BYTES)  # type: ignore[attr-defined]
        self._host.opened(self)

    def data_received(self, data: bytes) -> None:
        self._host.turn_begins()
        try:
            for kind, request_id, meta, body in self._decoder.split(data):
                try:
                    if kind == protocol.REQUEST:
                        self._host.accept(self, request_id, (meta, body))
                    else:
                        self._dispatch(kind, request_id, body)
                except protocol.ProtocolError:
                    raise
                except Exception as error:
                    _log.exception("a frame of kind %d failed", kind)
                    if kind == protocol.REQUEST:
                        self._host.fail(self, request_id, error)
        except protocol.ProtocolError as error:
            _log.error("a connection is closed: %s", error)
            if self._transport is not None:
                self._transport.close()
        finally:
            self._host.turn_ends()

    def pause_writing(self) -> None:
        self._is_paused = True

    def resume_writing(self) -> None:
        self._is_paused = False
        self.flush()

    def connection_lost(self, exc: Optional[Exception]) -> None:
        self._transport = None
        for room in self._rooms:
            room.release()
        self._out, self._rooms = [], []
        for job in list(self.jobs.values()):
            self._host.abandon(job)
        self._host.closed(self)

    # -- frames --------------------------------------------------------------------------------------------------

    def _dispatch(self, kind: int, request_id: int, body: bytes) -> None:
        if kind == protocol.CANCEL:
            job = self.jobs.get(request_id)
            if job is not None:
                self._host.abandon(job)
        elif kind == protocol.PING:
            self.send((protocol.encode(protocol.PONG, request_id, self._host.health()),))
        elif kind == protocol.HELLO:
            self._greet(body)
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
        self.send((protocol.encode(protocol.HELLO, 0, self._host.hello()),))
        if version != protocol.VERSION:
            self.flush()
            raise protocol.ProtocolError(f"the client speaks version {version}, this worker {protocol.VERSION}")
        self.role = "agent" if role == "agent" else "server"
        self._host.greeted(self)


def _write_apart(transport: asyncio.Transport, parts: List[bytes]) -> None:
    """Joins small parts only."""
    small: List[bytes] = []
    for part in parts:
        if len(part) <= _LARGE_BYTES:
            small.append(part)
            continue
        if small:
            transport.write(b"".join(small))
            small = []
        # What the socket does not take at once is kept by the transport without a further copy.
        transport.write(memoryview(part))
    if small:
        transport.write(b"".join(small))
