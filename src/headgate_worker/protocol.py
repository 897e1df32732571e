"""The written protocol between a server process (or the agent) and a worker, version 1. Pure: bytes in, frames out.

A worker listens on a Unix stream socket. Either side sends frames:

    u32 length of payload | u8 kind | u8 0 | u16 0 | u32 request id | payload      (little endian, 12-byte header)

kind          from     payload
HELLO    1    both     JSON. Client: {"version":1,"role":"server"|"agent"}. Worker answers {"version":1,"replica":id,
                       "slots":n,"window":n}: it executes `slots` at once; a client keeps at most `window` unanswered. Also
                       "phases_ms" (milliseconds of its start: environment, fork, import, load, first_predict, prove; those there
                       were) and "ready_ms" (since it was READY), for who has waited for it.
REQUEST  2    client   u32 length of meta | meta JSON | body as received. meta: {"content_type","request_id","deadline_ms"
                       (milliseconds it may take from now), "client_request_id"?, "api"? (`chat/completions` …: by which route it
                       came, if not by `invocations`)}. Answered by one REPLY, or CHUNK* END.
REPLY    3    worker   u32 length of meta | meta JSON | body. meta: {"status":200,"content_type":"application/json",
                       "queue_us","execute_us"}. Ends the request.
CHUNK    4    worker   one piece of a stream, to forward as it is (an SSE event, `data: ...\\n\\n`).
                       The first is preceded by STREAM.
STREAM   5    worker   meta JSON as in REPLY: the answer is a stream.
END      6    worker   empty: the stream is complete.
CANCEL   7    client   empty: nobody waits for this request any more. No answer is needed; frames may still arrive.
PING     8    client   empty; answered by PONG.
PONG     9    worker   JSON health: {"executing","queued","stuck" (threads whose requests are all past their deadline),"served",
                       "batches","joined" (requests answered in them),"native","mismatches","rss_bytes"}.
DRAIN   10    agent    empty: the worker stops listening, finishes what it has, and exits once no server is connected.
LOG     11    worker   to agents only: one log record, in the form of `log_line`.

Log lines are text, one record a line: `2026-11-21T09:07:39.123Z <replica> <stream|level> message`.
"""

from __future__ import annotations

import json
import re
import struct
import time
from typing import Any, Iterator, List, NamedTuple, Optional, Tuple

VERSION = 1
HEADER = struct.Struct("<IBBHI")
META = struct.Struct("<I")
_HEAD = struct.Struct("<IBBHII")
"""Header and length of meta."""
MAX_PAYLOAD = 256 * 1024 * 1024
"""A longer frame is a protocol error: the connection is closed."""

HELLO, REQUEST, REPLY, CHUNK, STREAM, END, CANCEL, PING, PONG, DRAIN, LOG = range(1, 12)
_WITH_META = (REQUEST, REPLY)
_LARGE_BYTES = 64 * 1024
_USUAL_META = re.compile(
    rb'\{"content_type":"([^"\\]*)","request_id":"[^"\\]*","deadline_ms":([0-9]{1,15})\}'
).fullmatch
"""What servers write; three times as fast as parsing JSON."""


class ProtocolError(Exception):
    """The peer broke the protocol; the connection cannot be used any more."""


class Frame(NamedTuple):
    """One frame."""

    kind: int
    request_id: int
    payload: bytes


def encode(kind: int, request_id: int, payload: bytes = b"") -> bytes:
    """One frame as bytes."""
    return HEADER.pack(len(payload), kind, 0, 0, request_id) + payload


def encode_json(kind: int, request_id: int, value: Any) -> bytes:
    """A frame whose payload is JSON."""
    return encode(kind, request_id, json.dumps(value, separators=(",", ":")).encode())


def encode_head(kind: int, request_id: int, meta: bytes, body_length: int) -> bytes:
    """What goes before the body of a REQUEST or REPLY frame; `meta` is JSON bytes."""
    length = len(meta)
    return _HEAD.pack(META.size + length + body_length, kind, 0, 0, request_id, length) + meta


def encode_with_meta(kind: int, request_id: int, meta: bytes, body: bytes) -> bytes:
    """A REQUEST or REPLY frame; `meta` is JSON bytes."""
    return encode_head(kind, request_id, meta, len(body)) + body


def split_meta(payload: bytes) -> Tuple[Any, bytes]:
    """The meta (parsed) and body of a REQUEST or REPLY payload. Raises ProtocolError."""
    try:
        (length,) = META.unpack_from(payload)
        end = META.size + length
        if end > len(payload):
            raise ProtocolError("meta is longer than its frame")
        return json.loads(payload[META.size : end]), payload[end:]
    except (struct.error, ValueError) as error:
        raise ProtocolError(f"malformed meta: {error}") from error


def request_terms(meta: bytes) -> Tuple[str, Optional[float], str]:
    """Content type, milliseconds it may take, if the client says, and api, empty for `invocations`, from a REQUEST's meta.

    Raises ProtocolError.
    """
    usual = _USUAL_META(meta)
    try:
        if usual is not None:
            return usual[1].decode(), int(usual[2]), ""
        told = json.loads(meta)
        limit_ms = told.get("deadline_ms")
        api = str(told.get("api") or "")
        return told.get("content_type") or "", None if limit_ms is None else float(limit_ms), api
    except (ValueError, TypeError, AttributeError) as error:
        raise ProtocolError(str(error)) from error


class Decoder:
    """Turns received bytes into frames; keeps what is not complete yet. Bytes of a large frame are copied once."""

    def __init__(self) -> None:
        self._parts: List[bytes] = []
        """The beginning of the next frame, as it came."""
        self._have, self._need = 0, 0
        """Bytes in `_parts`, and how many it takes to go on."""

    def feed(self, data: bytes) -> Iterator[Frame]:
        """All frames complete after `data`. Raises ProtocolError for an impossible header."""
        for kind, request_id, meta, body in self.split(data):
            payload = META.pack(len(meta)) + meta + body if kind in _WITH_META else body
            yield Frame(kind, request_id, payload)

    def split(self, data: bytes) -> Iterator[Tuple[int, int, bytes, bytes]]:
        """The same as (kind, request id, meta, body): meta is that of a REQUEST or REPLY, not parsed, and empty if its length
        is impossible; all else is body."""
        if self._parts:
            self._parts.append(data)
            self._have += len(data)
            if self._have < self._need:
                return
            parts, self._parts = self._parts, []
            if self._need > _LARGE_BYTES:
                large, data = _joined(parts, self._have - self._need)
                yield large
            else:
                data = b"".join(parts)
        start, size, unpack = 0, len(data), HEADER.unpack_from
        need = HEADER.size
        while size - start >= HEADER.size:
            length, kind, _, _, request_id = unpack(data, start)
            if length > MAX_PAYLOAD or not HELLO <= kind <= LOG:
                raise ProtocolError(f"impossible frame: kind {kind}, {length} bytes")
            begin, end = start + HEADER.size, start + HEADER.size + length
            if size < end:
                need = end - start
                break
            start = end
            if kind in _WITH_META:
                meta = begin + META.size
                body = meta + META.unpack_from(data, begin)[0] if meta <= end else end + 1
                if body <= end:
                    yield kind, request_id, data[meta:body], data[body:end]
                    continue
            yield kind, request_id, b"", data[begin:end]
        if start < size:
            self._parts, self._have, self._need = [data[start:]], size - start, need


def _joined(parts: List[Any], beyond: int) -> Tuple[Tuple[int, int, bytes, bytes], bytes]:
    """One frame that came in several parts, the last one with so many bytes `beyond` it; and those."""
    first, last = parts[0], parts[-1]
    _, kind, _, _, request_id = HEADER.unpack_from(first)
    start, meta, has_meta = HEADER.size, b"", kind in _WITH_META
    if has_meta and len(first) >= _HEAD.size:
        body = _HEAD.size + META.unpack_from(first, HEADER.size)[0]
        if body <= len(first):
            start, meta, has_meta = body, first[_HEAD.size : body], False
    end = len(last) - beyond
    parts[0], parts[-1] = memoryview(first)[start:], memoryview(last)[:end]
    whole = b"".join(parts)
    if has_meta:
        meta, whole = _apart(whole)
    return (kind, request_id, meta, whole), last[end:]


def _apart(payload: bytes) -> Tuple[bytes, bytes]:
    """Meta, not parsed, and body; no meta if its length is impossible."""
    end = META.size + META.unpack_from(payload)[0] if len(payload) >= META.size else len(payload) + 1
    return (payload[META.size : end], payload[end:]) if end <= len(payload) else (b"", payload)


def log_line(replica: str, stream: str, message: str, now: Optional[float] = None) -> str:
    """One log record as a line, with its newline; line breaks inside `message` are indented continuation lines."""
    seconds = time.time() if now is None else now
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    text = message.rstrip("\n").replace("\n", "\n    ")
    return f"{stamp}.{int(seconds * 1000) % 1000:03d}Z {replica} {stream} {text}\n"
