"""One connection to a vendor: HTTP/1.1, one request at a time, kept alive. Made by `dialling`, kept by `bulkhead`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httptools

from headgate.upstream.answer import Answer
from headgate.upstream.decoding import Decoder, Unreadable
from headgate.upstream.port import GARBAGE, LOST, Patience
from headgate.upstream.targets import Origin

STOPPING = "The server is stopping."
HEAD_BYTES = 64 * 1024
"""Status line and headers of an answer, with those before it that say "wait" (1xx); and whatever later is no body: trailers, what frames chunks."""
JOINED_BYTES = 64 * 1024
"""A body up to this length is copied behind its head; a longer one costs more to copy than a second buffer of one system call."""
_KEPT_FOR = re.compile(rb"\btimeout=(\d{1,6})\b")
_NO_BODY = (204, 304)


@dataclass(frozen=True, slots=True)
class Terms:
    """What all connections of a lane have in common."""

    loop: asyncio.AbstractEventLoop
    answer_bytes: int
    freed: Callable[[Connection, bool], None]
    """Its request is over; whether it can take another."""
    lost: Callable[[Connection], None]
    """It had no request and is gone."""
    failed: Callable[[str], None]
    """Somebody was told that the rest of an answer will not come; of which kind."""


class Connection(asyncio.Protocol):
    """asyncio's protocol, httptools' callbacks, and `send`."""

    __slots__ = (
        "_answer", "_decoder", "_done", "_head_bytes", "_keep_alive", "_parser", "_paused", "_read_bytes", "_spoiled", "_transport", "_until_close",
        "idle_since_s", "origin", "patience_s", "requests", "terms", "unanswered",
    )  # fmt: skip

    def __init__(self, origin: Origin, terms: Terms) -> None:
        self.origin, self.terms = origin, terms
        self.requests = 0
        """Sent on it so far."""
        self.idle_since_s = 0.0
        self.patience_s = float("inf")
        """How long its peer keeps it open without requests, as far as it says so."""
        self.unanswered = False
        """Whether it broke before the first byte of an answer."""
        self._answer: Answer | None = None
        self._parser: Any = httptools.HttpResponseParser(self)
        """None once the connection is over: it knows us, and both would stay until the next collection."""
        self._decoder: Decoder | None = None
        self._head_bytes = self._read_bytes = 0
        self._done = self._keep_alive = self._paused = self._spoiled = self._until_close = False
        self._transport: asyncio.Transport | None = None

    def send(self, head: bytes, body: bytes, patience: Patience, deadline_s: float) -> Answer:
        """Sends a request. Only when it has none."""
        transport = self._transport
        assert self._answer is None and transport is not None
        self.requests += 1
        self._head_bytes = self._read_bytes = 0
        self._decoder = None
        self._done = self._keep_alive = self._until_close = False
        self._answer = answer = Answer(self, patience, deadline_s)
        if len(body) <= JOINED_BYTES:
            transport.write(head + body)
        else:
            transport.writelines((head, body))
        return answer

    @property
    def usable(self) -> bool:
        """Whether it can take a request."""
        return self._transport is not None and self._answer is None and not self._spoiled

    def pause(self) -> None:
        """Reads no more until `resume`."""
        if self._transport is not None and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
        self._paused = False

    def give_up(self) -> None:
        """The process ends."""
        if self._answer is not None:
            self._answer.fail(LOST, STOPPING)

    def drop(self) -> None:
        """Ends it at once, whatever it is doing."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        self._parser = None
        self._over(reusable=False)

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None:
            self._spoiled = True  # an answer nobody asked for
            self._gone()
            return
        self._read_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._spoiled = True
            if not self._done:
                answer.fail(GARBAGE, "What the provider answered is no HTTP.")
                return
        if self._done:
            self._finish(answer)
        elif self._read_bytes > HEAD_BYTES:
            # The parser keeps all of it.
            answer.fail(GARBAGE, "The head of the provider's answer, or what follows it, is too long.")
        elif not answer.headed:
            answer.heard_s = self.terms.loop.time()
        elif answer is self._answer:
            answer.on_read(self.terms.loop.time())

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        answer = self._answer
        if answer is None:
            self._gone()
        elif self._until_close and exc is None:
            self._done = True
            self._finish(answer)
        else:
            self.unanswered = not answer.headed and not self._read_bytes
            answer.fail(LOST, "The connection to the provider broke before its answer was complete.")

    # httptools' side

    def on_message_begin(self) -> None:
        if self._done:
            self._spoiled = True  # more than was asked for

    def on_header(self, name: bytes, value: bytes) -> None:
        answer = self._answer
        if answer is not None and not answer.headed:
            self._head_bytes += len(name) + len(value)
            answer.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        answer = self._answer
        if answer is None or answer.headed or self._done:
            return
        status = self._parser.get_status_code()
        if status < 200:
            answer.headers.clear()
            return
        answer.status, headers = status, answer.headers
        if self._head_bytes > HEAD_BYTES:
            answer.fail(GARBAGE, "The head of the provider's answer is too long.")
            return
        if b"content-length" not in headers and status not in _NO_BODY:
            self._until_close = b"chunked" not in headers.get(b"transfer-encoding", b"").lower()
        encoding = headers.get(b"content-encoding", b"").strip().lower()
        if encoding and encoding != b"identity":
            try:
                self._decoder = Decoder(encoding)
            except Unreadable:
                answer.fail(GARBAGE, "The provider's answer is compressed in a way nobody asked for.")
                return
        answer.on_head()

    def on_body(self, piece: bytes) -> None:
        answer = self._answer
        if answer is None or self._done:
            return
        self._read_bytes = 0
        if self._decoder is not None:
            try:
                piece = self._decoder.feed(piece)
            except Unreadable:
                answer.fail(GARBAGE, "The provider's answer cannot be decompressed.")
                return
            if not piece:
                return
        answer.on_piece(piece)

    def on_message_complete(self) -> None:
        answer = self._answer
        if answer is not None and answer.headed:  # else a 1xx
            self._done = True
            self._keep_alive = self._parser.should_keep_alive()

    # the end of a request

    def _finish(self, answer: Answer) -> None:
        keep_alive = answer.headers.get(b"keep-alive")
        if keep_alive is not None:
            self._heed(keep_alive)
        if self._decoder is not None and not self._decoder.complete and self._decoder.fed:
            answer.fail(GARBAGE, "The provider's answer cannot be decompressed.")
            return
        transport = self._transport
        reusable = (
            self._keep_alive
            and not self._spoiled
            and transport is not None
            and not transport.is_closing()
            and not transport.get_write_buffer_size()
        )
        answer.end()
        if reusable:
            self.resume()
            self._over(reusable=True)
        else:
            self.drop()

    def _heed(self, keep_alive: bytes) -> None:
        """A peer that closes idle connections early may say so."""
        seconds = _KEPT_FOR.search(keep_alive.lower())
        if seconds is not None:
            self.patience_s = int(seconds[1]) - 1.0

    def _over(self, *, reusable: bool) -> None:
        if self._answer is not None:
            self._answer = None
            self.terms.freed(self, reusable)

    def _gone(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        self._parser = None
        self.terms.lost(self)
