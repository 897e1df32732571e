"""Links to replicas: one multiplexed connection each, speaking `headgate_worker.protocol` as a server.

Owned by `capacity.Deployment`, which is told when a connection is up, lost, or has a slot again. A link reconnects for as
long as its replica is in the routing table; a retired one closes once nothing is unanswered.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from functools import lru_cache
from typing import Any, Protocol, cast

import orjson

from headgate.clock import Clock, within
from headgate.domain.routing import ReplicaAddress
from headgate.gateway.call import INVOCATIONS
from headgate.gateway.exchanges import STREAM_BUFFER_BYTES, Answer, Exchange, NotSent, ReplicaDied, Stream
from headgate_worker import protocol

logger = logging.getLogger(__name__)

CONNECT_DEADLINE_S = 5.0
BACKOFF_S = 0.05
BACKOFF_MAX_S = 1.0
OVERDUE_GRACE_S = 2.0
"""A worker answers 504 itself; one that has not this long after the deadline is not waited for."""

_HELLO = protocol.encode_json(protocol.HELLO, 0, {"version": protocol.VERSION, "role": "server"})
_JSON = b"application/json"
_SEND_BUFFER_BYTES = 1024**2
"""A large body goes over in few pieces."""
_LAST_NUMBER = 0xFFFFFFFF
_COPIED_BYTES = 65536
"""Longer bodies are handed to the transport as they are."""


class Pool(Protocol):
    """Who uses the connections."""

    def connected(self, connection: Connection) -> None:
        """It can be used."""

    def lost(self, connection: Connection) -> None:
        """It cannot be used any more."""

    def release(self, connection: Connection) -> None:
        """One slot of it is free again."""


class Connection(asyncio.Protocol):
    """One connection to a replica. Frames of one turn of the loop are written together, so that the worker can join them."""

    def __init__(self, replica: ReplicaAddress, pool: Pool, clock: Clock) -> None:
        self.replica = replica
        self.loop = asyncio.get_running_loop()
        self.window = 0
        """Unanswered requests the worker allows."""
        self.taken = 0
        """Slots in use or handed to somebody about to use them. Kept by the pool."""
        self.usable = False
        """Whether it takes new requests."""
        self.phases_ms: dict[str, Any] = {}
        """How long the phases of the replica's start took, as it says."""
        self.ready_ms = 0.0
        """How long before this connection that start was over."""
        self.retired = False
        """To be closed once nothing is unanswered; the pool sees to it."""
        self.greeted: asyncio.Future[None] = self.loop.create_future()
        self.closed: asyncio.Future[None] = self.loop.create_future()
        self._pool = pool
        self._clock = clock
        self._transport: asyncio.Transport | None = None
        self._decoder = protocol.Decoder()
        self._pending: dict[int, Exchange] = {}
        self._number = 0
        self._out: list[bytes | bytearray] = []
        """Frames of this turn of the loop."""
        self._apart = False
        """Whether one of them is too long to be copied once more."""
        self._why = "the connection was closed"

    # -- requests ------------------------------------------------------------------------------------------------

    def ask(self, exchange: Exchange, now_s: float) -> None:
        """Sends a request; its slot is given back when it is answered, broken or abandoned. Raises NotSent."""
        if not self.usable or self._transport is None:
            raise NotSent(self._why)
        call = exchange.call
        number = self._number = self._number + 1
        if number > _LAST_NUMBER or number in self._pending:
            number = self._free_number()
        left_ms = int((call.deadline_s - now_s) * 1000.0)
        told = call.head
        meta = b'%b"request_id":"%b","deadline_ms":%d}' % (
            _meta_start(told.content_type, told.api if call.dialect is None else call.dialect.api),
            call.request_id.encode(),
            left_ms if left_ms > 0 else 1,
        )
        body = call.body
        exchange.connection, exchange.number, exchange.sent_s = self, number, now_s
        self._pending[number] = exchange
        head = protocol.encode_head(protocol.REQUEST, number, meta, len(body))
        if len(body) <= _COPIED_BYTES:
            self._write(head + body)
        else:
            self._apart = True
            self._write(head)
            self._write(body)

    def abandon(self, exchange: Exchange) -> None:
        """Tells the worker that nobody waits for this any more. Does nothing once it is complete."""
        if self._pending.get(exchange.number) is exchange:
            self._write(protocol.encode(protocol.CANCEL, exchange.number))
            self._finish(exchange)

    def expire(self, now_s: float) -> None:
        """Fails what should have been answered."""
        for exchange in list(self._pending.values()):
            if now_s > exchange.call.deadline_s + OVERDUE_GRACE_S:
                exchange.expire()

    def retire(self) -> None:
        """Takes no new requests; closes when it has answered those it has."""
        self.usable, self.retired = False, True
        if self.taken == 0:
            self.close()

    def close(self) -> None:
        """Closes it; what is unanswered fails."""
        self.usable = False
        if self._transport is not None:
            self._transport.close()

    def _free_number(self) -> int:
        number = self._number
        while number > _LAST_NUMBER or number in self._pending:
            number = 1 if number > _LAST_NUMBER else number + 1
        self._number = number
        return number

    def _finish(self, exchange: Exchange) -> None:
        del self._pending[exchange.number]
        self._pool.release(self)

    def _write(self, frame: bytes | bytearray) -> None:
        if not self._out:
            self.loop.call_soon(self._flush)
        self._out.append(frame)

    def _flush(self) -> None:
        out, self._out = self._out, []
        # A transport that is closing may raise on write, which would take the whole link down.
        if self._transport is not None and not self._transport.is_closing():
            if self._apart:
                self._apart = False
                self._transport.writelines(out)
            else:
                self._transport.write(out[0] if len(out) == 1 else b"".join(out))

    # -- asyncio.Protocol ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclasses
        wire = transport.get_extra_info("socket")
        if wire is not None and wire.family == socket.AF_UNIX:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        elif wire is not None:
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._transport.write(_HELLO)

    def data_received(self, data: bytes) -> None:
        try:
            for kind, number, meta, body in self._decoder.split(data):
                self._frame(kind, number, meta, body)
        except (protocol.ProtocolError, ValueError, KeyError, TypeError, struct.error) as error:
            self._why = f"replica {self.replica.id} broke the protocol: {error}"
            logger.error(self._why)
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        if exc is not None:
            self._why = f"the connection was lost: {exc}"
        if not self.greeted.done():
            self.greeted.set_exception(ConnectionError(self._why))
            self.greeted.exception()  # whoever waited may have given up
        self._pool.lost(self)
        pending, self._pending = self._pending, {}
        for exchange in pending.values():
            exchange.fail(ReplicaDied(self.replica.id, self._why))
        if not self.closed.done():
            self.closed.set_result(None)

    # -- frames --------------------------------------------------------------------------------------------------

    def _frame(self, kind: int, number: int, meta: bytes, body: bytes) -> None:
        if kind == protocol.HELLO:
            return self._greet(orjson.loads(body))
        exchange = self._pending.get(number)
        if exchange is None:
            return None  # of a request that nobody waits for any more
        if kind == protocol.REPLY and exchange.stream is None:
            answer = _answer(orjson.loads(meta), body)
            self._finish(exchange)
            exchange.replied(answer)
        elif kind == protocol.CHUNK and exchange.stream is not None:
            exchange.stream.feed(body)
            if exchange.stream.size > STREAM_BUFFER_BYTES:
                logger.warning("a client does not read its stream: it is cut off")
                self.abandon(exchange)
                exchange.call.abort()
        elif kind == protocol.STREAM and exchange.stream is None:
            answer = _answer(orjson.loads(body), b"")
            exchange.stream = Stream(self.loop)
            exchange.replied(answer)
        elif kind == protocol.END and exchange.stream is not None:
            self._finish(exchange)
            exchange.stream.end()
        else:
            raise protocol.ProtocolError(f"frame of kind {kind} where none belongs")
        return None

    def _greet(self, hello: dict[str, Any]) -> None:
        if hello["version"] != protocol.VERSION:
            raise protocol.ProtocolError(f"it speaks version {hello['version']}, this server {protocol.VERSION}")
        self.window = max(1, int(hello["window"]))
        # A worker of an older guest does not say.
        self.phases_ms, self.ready_ms = dict(hello.get("phases_ms") or {}), float(hello.get("ready_ms") or 0.0)
        self.usable = True
        if not self.greeted.done():
            self.greeted.set_result(None)


@lru_cache(maxsize=256)
def _meta_start(content_type: bytes, api: str) -> bytes:
    """What the meta of every request of one content type begins with; clients send the same few."""
    told = {"content_type": content_type.decode("latin-1")}
    if api != INVOCATIONS:
        told["api"] = api
    return orjson.dumps(told)[:-1] + b","


def _answer(meta: dict[str, Any], body: bytes) -> Answer:
    """Raises KeyError, TypeError or ValueError for meta without what the protocol asks for."""
    kind = meta.get("content_type")
    content_type = _JSON if kind is None or kind == "application/json" else _content_type(kind)
    status = meta["status"]
    if not 200 <= status <= 599:
        raise ValueError(f"{status!r} is not a status")
    return Answer(status, content_type, meta.get("queue_us", 0), meta.get("execute_us", 0), body)


@lru_cache(maxsize=256)
def _content_type(kind: str) -> bytes:
    """As a header's value; models may say anything."""
    return kind.encode() if kind.isascii() and kind.isprintable() else b"application/octet-stream"


class Link:
    """A replica as this server reaches it, for as long as it is in the routing table."""

    def __init__(self, replica: ReplicaAddress, pool: Pool, clock: Clock) -> None:
        self.replica = replica
        self.problem = ""
        """Why it cannot be reached; empty when it can or nobody has tried."""
        self._pool = pool
        self._clock = clock
        self.connection: Connection | None = None
        """When it is up."""
        self._retired = False
        self.task = asyncio.create_task(self._keep(), name=f"link to {replica.id}")

    def retire(self) -> None:
        """Takes no new requests; closes once those it has are answered."""
        self._retired = True
        if self.connection is None:
            self.task.cancel()
        else:
            self.connection.retire()

    async def close(self) -> None:
        """Closes it at once."""
        self._retired = True
        if self.connection is not None:
            self.connection.close()
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def _keep(self) -> None:
        backoff_s = BACKOFF_S
        while not self._retired:
            began_s = self._clock.monotonic_s()
            try:
                connection = await self._connect()
            except (OSError, asyncio.TimeoutError) as error:
                self.problem = f"replica {self.replica.id} cannot be reached: {error or 'it does not answer'}"
            else:
                self.problem = ""
                if self._retired:  # while it was connecting
                    connection.close()
                    return
                self.connection = connection
                if connection.usable:  # it may be lost already
                    self._pool.connected(connection)
                await connection.closed
                self.connection = None
            if self._clock.monotonic_s() - began_s > BACKOFF_MAX_S:
                backoff_s = BACKOFF_S
            if not self._retired:
                await asyncio.sleep(backoff_s)
            backoff_s = min(BACKOFF_MAX_S, backoff_s * 2)

    async def _connect(self) -> Connection:
        connection: Connection | None = None

        def make() -> Connection:
            nonlocal connection
            connection = Connection(self.replica, self._pool, self._clock)
            return connection

        try:
            await within(CONNECT_DEADLINE_S, self._open(make))
        except BaseException:
            if connection is not None:
                connection.close()
            raise
        assert connection is not None
        return connection

    async def _open(self, make: Any) -> None:
        loop = asyncio.get_running_loop()
        address = self.replica.address
        if address.startswith("unix:"):
            _, made = await loop.create_unix_connection(make, address.removeprefix("unix:"))
        else:
            host, _, port = address.rpartition(":")
            if not port.isdigit():
                raise OSError(f"{address!r} is not an address")
            _, made = await loop.create_connection(make, host.strip("[]"), int(port))
        await made.greeted
