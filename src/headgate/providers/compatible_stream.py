"""Streams of vendors that speak OpenAI's dialect: passed on chunk by chunk, looked at just enough to know usage, end and failure.

A chunk of whole events leaves as the bytes it came as. Only the usage chunk of a client that did not ask is taken out, and only what is not
`data:` lines is framed anew.
"""

from __future__ import annotations

from typing import Any

import msgspec

from headgate.errors import HeadgateError, TemporarilyUnavailable
from headgate.providers import failures, usage
from headgate.providers.port import Usage, VendorFailure
from headgate.wire import sse

_NULL = msgspec.Raw(b"null")
_EMPTY = (b"null", b'""', b"[]")
_NEVER_SHOWN = ("role", "name")


class _Choice(msgspec.Struct):
    finish_reason: Any = None
    delta: dict[str, msgspec.Raw] | None = None
    text: msgspec.Raw = _NULL


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None
    error_code: Any = None


class _LaterChoice(msgspec.Struct):
    finish_reason: Any = None


class _LaterChunk(msgspec.Struct):
    """The same once content has been seen: nothing of a delta matters any more."""

    choices: list[_LaterChoice] | None = None
    usage: Any = None
    error: Any = None
    error_code: Any = None


class _Response(msgspec.Struct):
    usage: Any = None
    error: Any = None


class _ResponsesEvent(msgspec.Struct):
    type: str = ""
    response: _Response | None = None
    message: Any = None
    error: Any = None


_chunk = msgspec.json.Decoder(_Chunk)
_later_chunk = msgspec.json.Decoder(_LaterChunk)
_responses_event = msgspec.json.Decoder(_ResponsesEvent)
_Undecodable = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Framed:
    """What both readers share: whole events out of any chunks, the end, failures."""

    def __init__(self, vendor: str) -> None:
        self.usage: Usage | None = None
        self.complete = False
        self.first_content = False
        self.failure: VendorFailure | None = None
        self._vendor = vendor
        self._splitter = sse.Splitter()
        self._holds = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """The events that are whole now."""
        if not chunk or self.complete or self.failure is not None:
            return []
        if not self._holds and _is_whole(chunk):
            payloads = [event[6:] for event in chunk[:-2].split(b"\n\n")]
            out = self._look(payloads)
            # Nothing taken out, nothing failed: the vendor's bytes.
            return [chunk] if out is None else out
        try:
            payloads = [event.data for event in self._splitter.feed(chunk)]
        except sse.NotEvents:
            return self._fail("sent a stream that is not one of events")
        self._holds = self._splitter.holds
        return self._framed(payloads)

    def end(self) -> list[bytes]:
        """What is left to say when the vendor's stream is over."""
        if self.complete or self.failure is not None:
            return []
        last = [event.data for event in self._splitter.end()]
        out = self._framed([payload for payload in last if payload == b"[DONE]" or payload.endswith(b"}")])
        if self.complete or self.failure is not None:
            return out
        if self._was_done():
            self.complete = True
            return [*out, sse.DONE]
        return [*out, *self._fail("ended its stream before it was complete")]

    def _framed(self, payloads: list[bytes]) -> list[bytes]:
        out = self._look(payloads)
        return [sse.event(payload) for payload in payloads] if out is None else out

    def _look(self, payloads: list[bytes]) -> list[bytes] | None:
        """None when all of them go on as they are, else the events to send."""
        out: list[bytes] = []
        as_they_are = True
        for payload in payloads:
            said = self._event(payload)
            if said is None:
                out.append(sse.event(payload))
            else:
                as_they_are = False
                out += said
            if self.complete or self.failure is not None:
                as_they_are = as_they_are and payload is payloads[-1]
                break
        return None if as_they_are else out

    def _event(self, payload: bytes) -> list[bytes] | None:
        """None when it goes on as it is, else what goes on in its place."""
        raise NotImplementedError

    def _was_done(self) -> bool:
        return False

    def _fail(self, what: str, message: str = "") -> list[bytes]:
        text = f"{self._vendor} {what}: {message}" if message else f"{self._vendor} {what}."
        self.failure = VendorFailure(503, text, None, True)
        return [sse.error_event(TemporarilyUnavailable(text))]

    def _vendor_failed(self, error: Any) -> list[bytes]:
        """The vendor says in the middle of the stream that it failed."""
        status = error.get("code") if isinstance(error, dict) else None
        status = status if isinstance(status, int) and 400 <= status <= 599 else 500
        failed = failures.failure(self._vendor, status, {}, failures.message_of(msgspec.json.encode({"error": error})))
        self.failure = failed
        raised: HeadgateError = failures.error(failed)
        return [sse.error_event(raised)]


class Reader(_Framed):
    """Chat and completions. Usage: the last one said, whether in a chunk of its own or in every chunk."""

    def __init__(self, vendor: str, include_usage: bool, forgives_no_done: bool) -> None:
        super().__init__(vendor)
        self._include_usage = include_usage
        self._forgives_no_done = forgives_no_done
        self._finished = False

    def _event(self, payload: bytes) -> list[bytes] | None:
        if payload == b"[DONE]":
            self.complete = True
            return None
        if not payload:
            # Kept alive.
            return []
        try:
            if not payload.isascii():
                payload.decode()  # what the decoder skips it does not look at
            chunk = _later_chunk.decode(payload) if self.first_content else self._first(payload)
        except _Undecodable:
            return self._fail("sent something that is not a chunk of a completion")
        if chunk.error or chunk.error_code:
            return self._vendor_failed(chunk.error or msgspec.json.decode(payload))
        if chunk.choices:
            self._finished = chunk.choices[-1].finish_reason is not None
        if chunk.usage is None:
            return None
        self.usage = usage.usage_of(chunk.usage) or self.usage
        return None if chunk.choices or self._include_usage else []

    def _first(self, payload: bytes) -> _Chunk:
        chunk = _chunk.decode(payload)
        self.first_content = any(_shows(choice) for choice in chunk.choices or ())
        return chunk

    def _was_done(self) -> bool:
        return self._forgives_no_done and self._finished


class ResponsesReader(_Framed):
    """The Responses API: events of many types, the last of which carries everything. There is no `[DONE]`."""

    def _event(self, payload: bytes) -> list[bytes] | None:
        if payload in (b"", b"[DONE]"):
            return []
        try:
            if not payload.isascii():
                payload.decode()
            event = _responses_event.decode(payload)
        except _Undecodable:
            return self._fail("sent something that is not an event of a response")
        if event.type.endswith(".delta"):
            self.first_content = True
        elif event.type in ("response.completed", "response.incomplete", "response.failed"):
            self.usage = usage.usage_of(event.response.usage) if event.response else None
            self.complete = True
        elif event.type == "error" or event.error:
            return self._vendor_failed(event.error or {"message": event.message})
        return None


def _is_whole(chunk: bytes) -> bool:
    """Whether it is whole events of one `data:` line each and nothing else: then all line feeds are those that separate them."""
    return (
        chunk.startswith(b"data: ")
        and chunk.endswith(b"\n\n")
        and b"\r" not in chunk
        and chunk.count(b"\n") == 2 * chunk.count(b"\n\ndata: ") + 2
    )


def _shows(choice: _Choice) -> bool:
    """Whether there is anything in it that a client could show."""
    if bytes(choice.text) not in _EMPTY:
        return True
    return any(bytes(value) not in _EMPTY for key, value in (choice.delta or {}).items() if key not in _NEVER_SHOWN)
