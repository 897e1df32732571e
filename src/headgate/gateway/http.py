"""uvicorn's HTTP protocol, with two changes. `web` makes it (`protocol`) and hands it to uvicorn.

Requests for models go from the parser straight to `direct`, without a task. Everything else is replayed to uvicorn, event by
event as the parser told it, also a request that `direct` hands over. And what one turn of the loop writes goes out in one write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from headgate import errors
from headgate.gateway.call import Call
from headgate.gateway.direct import Direct
from headgate.gateway.heads import Heads, KnownHead
from headgate.gateway.one_write import OneWriteTransport
from headgate.gateway.routes import App, Routes

PATIENCE_S = 1.0
"""A body that takes longer to arrive is waited for by a task."""

_OPEN_BODY_BYTES = 65536
"""Bodies announced longer are kept for callers with a valid token only."""

_COPIED_BYTES = 65536
"""Longer answers are written apart from their heads."""

APART_BYTES = 65536
"""Of what is no body: a head, what frames a body, what follows it. Whoever sends it may be anybody, and the parser keeps all of it."""

ARRIVAL_S = 60.0
"""A head must be there so long after its first byte, or after its connection; within a body nobody is silent for longer."""

_END_OF_HEAD = b"\r\n\r\n"


class OneWriteProtocol(HttpToolsProtocol):
    """uvicorn's own way for all requests, with one write per answer."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, OneWriteTransport(cast(asyncio.Transport, transport))))


class Door:
    """What all connections of a server process share."""

    def __init__(self, routes: Routes) -> None:
        self.routes = routes
        self.heads = Heads(routes.prefix)
        self.tail = b"\r\n%b: %b\r\ncontent-length: " % routes.workspace
        """Follows the request id in the head of every answer."""
        self._statuses: dict[int, bytes] = {}
        self._defaults: list[tuple[bytes, bytes]] | None = None

    def status(self, status: int, defaults: list[tuple[bytes, bytes]]) -> bytes:
        """The first lines of an answer. uvicorn replaces `defaults` (the date) every second."""
        if defaults is not self._defaults:
            self._defaults = defaults
            self._statuses.clear()
        lines = self._statuses.get(status)
        if lines is None:
            lines = STATUS_LINE[status] + b"".join([b"%b: %b\r\n" % header for header in defaults])
            self._statuses[status] = lines
        return lines


def protocol(routes: Routes) -> Callable[..., asyncio.Protocol]:
    """What to give as `http=` to `uvicorn.Config`, for an app that has these routes below `/serving-endpoints/`."""
    return partial(DoorProtocol, Door(routes))


class DoorProtocol(OneWriteProtocol):
    """One client's connection. At most one request is in the works; who sends more before its answer waits in uvicorn's queue."""

    def __init__(self, door: Door, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._door = door
        self._routes = door.routes
        self._heads = door.heads
        self._own = _OwnCycle()
        self._exchange: Direct | None = None
        """The request in the works, if it is `direct`'s."""
        self._between = True
        """Whether the parser is between two messages."""
        self._data: bytes | None = None
        """What the parser is fed, as long as its first message can be the only one in it."""
        self._url = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._known: KnownHead | None = None
        """Head of the message being parsed, if it is for `direct`."""
        self._pieces: list[bytes] = []
        self._large: bytearray | None = None
        """Where a large body is put together: pieces of it that are kept until they are joined cost as much memory again."""
        self._filled = 0
        self._current: KnownHead | None = None
        """Head of the request that `direct` has."""
        self._running: Any = None
        """The cycle of the request that a task has, or had last."""
        self._deaf = False
        """Whether the message being parsed comes after the last one to be answered."""
        self._patience: asyncio.TimerHandle | None = None
        self._answered_s = 0.0
        self._headless = True
        """Whether the parser has no head of the message that comes, or will come, next."""
        self._apart = 0
        """Bytes of the message being parsed since the last that were its body."""
        self._heard_s = 0.0
        """When a part of it came last."""
        self._arrival: asyncio.TimerHandle | None = None
        """Ends the connection when the rest does not come."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._arrival = self.loop.call_later(ARRIVAL_S, self._look_for_rest)

    # -- what the client sends -------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._between:
            if self._is_idle() and not self.flow.write_paused:
                end = data.find(_END_OF_HEAD) + 4
                known = self._heads.known.get(data[:end])
                if known is not None and len(data) == end + known.body_bytes:
                    # These very bytes were parsed before.
                    if self._arrival is not None:
                        self._arrived()
                    self._begin(known, data[end:])
                    return
            self._data = data
        self._apart += len(data)
        super().data_received(data)
        self._data = None
        if not self._between or self._apart > APART_BYTES:
            self._unfinished()
        if self._known is not None and self._patience is None:
            self._patience = self.loop.call_later(PATIENCE_S, self._lose_patience)

    def on_message_begin(self) -> None:
        if not self._between:
            self._data = None
        self._between = False
        self._headless = True
        self._url = b""
        self._fields = []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._headless = False
        self._deaf = self.transport.is_closing()
        if self._deaf:
            return
        if self._is_idle() and not self.flow.write_paused:
            known = self._heads.read(self._url, self._fields, self.parser)
            if known is not None and self._may_send(known):
                self._known, self._pieces = known, []
                if known.body_bytes > _OPEN_BODY_BYTES:
                    self._large, self._filled = bytearray(known.body_bytes), 0
                return
        self._replay(self._url, self._fields)

    def on_body(self, body: bytes) -> None:
        self._apart = 0
        if self._large is not None:
            start = self._filled
            self._filled = end = start + len(body)
            self._large[start:end] = body
        elif self._known is not None:
            self._pieces.append(body)
        elif not self._deaf:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._between = True
        self._apart = 0
        if self._arrival is not None:
            self._arrived()
        known, self._known = self._known, None
        if known is None:
            if not self._deaf:
                super().on_message_complete()
            self._data = None
            return
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        body = self._body()
        data, self._data = self._data, None
        if data is not None:
            end = data.find(_END_OF_HEAD) + 4
            if len(data) == end + len(body) == end + known.body_bytes:
                self._heads.remember(data[:end], known)
        self._begin(known, body)

    def connection_lost(self, exc: Exception | None) -> None:
        exchange, self._exchange = self._exchange, None
        self._known = self._large = None
        self._arrived()
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        if exchange is not None:
            exchange.leave()
        if self._running is not None:
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def shutdown(self) -> None:
        # A request whose body is on its way is finished before the connection is closed.
        if self._patience is not None:
            self._patience.cancel()
            self._lose_patience()
        super().shutdown()

    def timeout_keep_alive_handler(self) -> None:
        # Not stopped and started with every request: looks how long it is since the last.
        self.timeout_keep_alive_task = None
        if self._exchange is not None or not self._is_idle():
            return
        left_s = self._answered_s + self.timeout_keep_alive - self.loop.time()
        if left_s > 0:
            self.timeout_keep_alive_task = self.loop.call_later(left_s, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def _unfinished(self) -> None:
        """A part of a message has come."""
        if self._apart > APART_BYTES:
            # Also before its answer: whoever was let in may send this as well.
            self._known = self._large = None
            self._too_long()
            return
        self._heard_s = self.loop.time()
        if self._arrival is None:
            self._arrival = self.loop.call_later(ARRIVAL_S, self._look_for_rest)

    def _too_long(self) -> None:
        if self._is_idle() and not self.transport.is_closing():
            error = errors.BadRequest(
                f"The request has more than {APART_BYTES} bytes that are no body. Send fewer or shorter headers."
            )
            body = orjson.dumps(error.body())
            head = b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
            self.transport.write(self._door.status(400, self.server_state.default_headers) + head + body)
        self.transport.close()

    def _arrived(self) -> None:
        """All of a message is there, or nothing more comes."""
        if self._arrival is not None:
            self._arrival.cancel()
            self._arrival = None

    def _look_for_rest(self) -> None:
        left_s = 0.0 if self._headless else self._heard_s + ARRIVAL_S - self.loop.time()
        if self.flow.read_paused:  # it is we who do not listen
            left_s = ARRIVAL_S
        if left_s > 0:
            self._arrival = self.loop.call_later(left_s, self._look_for_rest)
        else:
            self._arrival = None
            self.transport.close()

    def _is_idle(self) -> bool:
        """Whether no request is in the works."""
        cycle = self.cycle
        return cycle is None or cycle.response_complete

    def _may_send(self, known: KnownHead) -> bool:
        length = known.body_bytes
        if length <= _OPEN_BODY_BYTES:
            return True
        return length <= self._routes.payload_bytes and self._routes.knows(known.head)

    def _body(self) -> bytes | bytearray:
        """What came of the body of the message being parsed."""
        large, self._large = self._large, None
        if large is not None:
            return large if self._filled == len(large) else large[: self._filled]
        pieces, self._pieces = self._pieces, []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _begin(self, known: KnownHead, body: bytes | bytearray) -> None:
        routes, own = self._routes, self._own
        now_s = routes.clock.monotonic_s()
        own.response_complete, own.keep_alive = False, known.keep_alive
        self.cycle = own  # type: ignore[assignment]
        self._current = known
        call = Call(known.head, body, len(body), now_s, now_s + routes.execution_s)
        call.address = self.client[0] if self.client else ""
        self._exchange = exchange = Direct(call, self, routes)
        exchange.begin()

    # -- what uvicorn gets -----------------------------------------------------------------------------------------

    def on_response_complete(self) -> None:
        if self.pipeline:
            self._running = self.pipeline[-1][0]  # the next
        super().on_response_complete()

    def _replay(self, url: bytes, fields: list[tuple[bytes, bytes]]) -> None:
        """What the parser told of a message's head, once more."""
        queued = len(self.pipeline)
        super().on_message_begin()
        super().on_url(url)
        for name, value in fields:
            super().on_header(name, value)
        super().on_headers_complete()
        if len(self.pipeline) == queued:
            self._running = self.cycle

    def _replay_known(self, known: KnownHead, keep_alive: bool, app: Any) -> None:
        """The same later, when the parser is elsewhere. `app` answers it."""
        kept = self.parser, self.app
        self.parser, self.app = cast(Any, _Told(keep_alive)), app
        try:
            self._replay(known.url, known.fields)
        finally:
            self.parser, self.app = kept

    def _lose_patience(self) -> None:
        known, body = self._known, self._body()
        self._patience, self._known = None, None
        if known is not None:
            self._replay_known(known, known.keep_alive, self.app)
            super().on_body(bytes(body))

    # -- what `direct` says ----------------------------------------------------------------------------------------

    def respond(self, call: Call, status: int, head: bytes, body: bytes) -> None:
        own, door = self._own, self._door
        self._exchange = None
        own.response_complete = True
        transport = cast(OneWriteTransport, self.transport)
        if transport.is_closing():
            return
        keep_alive = own.keep_alive and not self._routes.draining
        length = len(body)
        parts = (
            door.status(status, self.server_state.default_headers),
            head,
            b"x-databricks-request-id: ",
            call.request_id.encode(),
            door.tail,
            b"%d\r\n\r\n" % length if keep_alive else b"%d\r\nconnection: close\r\n\r\n" % length,
        )
        if length <= _COPIED_BYTES:
            transport.write_now(b"".join((*parts, body)))
        else:
            transport.write_now(b"".join(parts))
            transport.write_now(body)
        if not keep_alive:
            transport.close()
        if self.pipeline or self.flow.read_paused or not keep_alive:
            self.on_response_complete()
            return
        self.server_state.total_requests += 1
        self._answered_s = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def hand_over(self, app: App) -> None:
        known, own, behind = self._current, self._own, cast(Any, self.cycle)
        assert known is not None, "the head of the request in the works"
        self._exchange = None
        own.response_complete = True
        self.cycle = None  # type: ignore[assignment]
        self._replay_known(known, own.keep_alive, app)
        super().on_message_complete()
        if behind is not own:
            self.cycle = behind  # came meanwhile, and waits in uvicorn's queue

    def cut(self) -> None:
        self._exchange = None
        self.transport.close()


class _OwnCycle:
    """Stands in uvicorn's place for the request that `direct` has: what uvicorn asks its cycles."""

    def __init__(self) -> None:
        self.response_complete = True
        self.keep_alive = True
        self.disconnected = False
        self.message_event = asyncio.Event()


class _Told:
    """What the parser said of a message that it has left behind."""

    def __init__(self, keep_alive: bool) -> None:
        self._keep_alive = keep_alive

    def get_http_version(self) -> str:
        return "1.1"

    def get_method(self) -> bytes:
        return b"POST"

    def should_upgrade(self) -> bool:
        return False

    def should_keep_alive(self) -> bool:
        return self._keep_alive
