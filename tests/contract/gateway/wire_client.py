"""One HTTP request as bytes to the protocol of `gateway.http`, over a connection that is not there; as `bench.Client` does for ASGI."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httptools
import uvicorn
from uvicorn.server import ServerState


@dataclass
class Response:
    """What came back."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    pieces: list[bytes] = field(default_factory=list)
    complete: bool = False

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    def json(self) -> Any:
        return json.loads(self.body)


DEADLINE_S = 30.0


class Transport:
    """The server's end of a connection: the test reads `written`. Delivers what is `fed` when the server reads."""

    def __init__(self, protocol: Any) -> None:
        self.written = bytearray()
        self.heard: Callable[[bytes], None] | None = None
        self.gone: Callable[[], None] = lambda: None
        self.closed = False
        self._protocol = protocol
        self._fed: deque[bytes] = deque()
        self._reading = True

    def feed(self, data: bytes) -> None:
        self._fed.append(data)
        self._deliver()

    def lose(self) -> None:
        if not self.closed:
            self.closed = True
            self._forget().connection_lost(None)

    def write(self, data: bytes) -> None:
        assert not self.closed, "nothing may be written to a connection that is closed"
        self.written += data
        if self.heard is not None:
            self.heard(data)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.gone()
            asyncio.get_running_loop().call_soon(self._forget().connection_lost, None)

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        asyncio.get_running_loop().call_soon(self._deliver)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def _forget(self) -> Any:
        """The server's protocol, which a transport that is closed knows no more."""
        protocol, self._protocol = self._protocol, None
        return protocol

    def _deliver(self) -> None:
        while self._fed and self._reading and not self.closed:
            self._protocol.data_received(self._fed.popleft())


def connect(make: Callable[..., Any], app: Any) -> tuple[Any, Transport]:
    """A connection to an app under uvicorn's protocol, as made by `make`."""
    config = uvicorn.Config(app, ws="none", lifespan="off", log_config=None, access_log=False)
    protocol = make(config=config, server_state=ServerState(), app_state={})
    transport = Transport(protocol)
    protocol.connection_made(transport)
    return protocol, transport


def encode(path: str, body: bytes = b"{}", **options: Any) -> list[bytes]:
    """A request as the pieces it is sent in; options as `bench.Client` has them."""
    headers = {"host": "x", "authorization": "Bearer secret", "content-type": "application/json"}
    headers |= options.get("headers", {})
    pieces = options.get("pieces", [body])
    if "pieces" in options:
        headers["transfer-encoding"] = "chunked"
        pieces = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces]
        if not options.get("unfinished"):
            pieces[-1] += b"0\r\n\r\n"
    else:
        headers["content-length"] = str(len(body))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value)
    head = f"{options.get('method', 'POST')} {path} HTTP/1.1\r\n{lines}\r\n".encode()
    return [head + pieces[0], *pieces[1:]]


class Reading:
    """Whether the client reads: `clear` and `set`, as an event."""

    def __init__(self, protocol: Any) -> None:
        self.clear, self.set = protocol.pause_writing, protocol.resume_writing


class WireClient:
    """One request on a connection of its own."""

    def __init__(self, make: Callable[..., Any], app: Any, sent: list[bytes]) -> None:
        self.response = Response()
        self.task: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        protocol, self._transport = connect(make, app)
        self._transport.heard = self._parser.feed_data
        self._transport.gone = self._finish
        self.readable = Reading(protocol)
        for piece in sent:
            asyncio.get_running_loop().call_soon(self._transport.feed, piece)

    def leave(self) -> None:
        """Closes the connection."""
        asyncio.get_running_loop().call_soon(self._lose)

    async def done(self) -> Response:
        await asyncio.wait_for(asyncio.shield(self.task), DEADLINE_S)
        return self.response

    def _lose(self) -> None:
        self._transport.lose()
        del self.readable
        self._finish()

    def _finish(self) -> None:
        if not self.task.done():
            self.task.set_result(None)

    # -- what the parser of the answer says --------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        self.response.headers[name.decode()] = value.decode()

    def on_headers_complete(self) -> None:
        self.response.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        assert not self.response.complete, "nothing may follow the last piece"
        self.response.pieces.append(body)

    def on_message_complete(self) -> None:
        self.response.complete = True
        self._finish()
