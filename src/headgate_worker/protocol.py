"""The written protocol between a server process (or the agent) and a worker, version 1. Pure: bytes in, frames out.

A worker listens on a Unix stream socket. Either side sends frames:

    u32 length of payload | u8 kind | u8 0 | u16 0 | u32 request id | payload      (little endian, 12-byte header)

kind          from     payload
HELLO    1    both     JSON. Client: {"version":1,"role":"server"|"agent"}. Worker answers {"version":1,"replica":id,
                       "slots":n,"window":n}: it executes `slots` at once; a client keeps at most `window` unanswered.
REQUEST  2    client   u32 length of meta | meta JSON | body as received. meta: {"content_type","request_id","deadline_ms"
                       (milliseconds it may take from now), "client_request_id"?}. Answered by one REPLY, or CHUNK* END.
REPLY    3    worker   u32 length of meta | meta JSON | body. meta: {"status":200,"content_type":"application/json",
                       "queue_us","execute_us"}. Ends the request.
CHUNK    4    worker   one piece of a stream, to forward as it is (an SSE event, `data: ...\\n\\n`).
                       The first is preceded by STREAM.
STREAM   5    worker   meta JSON as in REPLY: the answer is a stream.
END      6    worker   empty: the stream is complete.
CANCEL   7    client   empty: nobody waits for this request any more. No answer is needed; frames may still arrive.
PING     8    client   empty; answered by PONG.
PONG     9    worker   JSON health: {"executing","queued","stuck" (executing past their deadline),"served","rss_bytes"}.
DRAIN   10    agent    empty: the worker stops listening, finishes what it has, and exits once no server is connected.
LOG     11    worker   to agents only: one log record, in the form of `log_line`.

Log lines are text, one record a line: `2026-11-21T09:07:39.123Z <replica> <stream|level> message`.
"""

from __future__ import annotations

import json
import struct
import time
from typing import Any, Iterator, NamedTuple, Optional, Tuple

VERSION = 1
HEADER = struct.Struct("<IBBHI")
META = struct.Struct("<I")
MAX_PAYLOAD = 256 * 1024 * 1024
"""A longer frame is a protocol error: the connection is closed."""

HELLO, REQUEST, REPLY, CHUNK, STREAM, END, CANCEL, PING, PONG, DRAIN, LOG = range(1, 12)


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


def encode_with_meta(kind: int, request_id: int, meta: bytes, body: bytes) -> bytes:
    """A REQUEST or REPLY frame; `meta` is JSON bytes."""
    header = HEADER.pack(META.size + len(meta) + len(body), kind, 0, 0, request_id)
    return b"".join((header, META.pack(len(meta)), meta, body))


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


class Decoder:
    """Turns received bytes into frames; keeps what is not complete yet."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """All frames complete after `data`. Raises ProtocolError for an impossible header."""
        self._buffer += data
        buffer, start = self._buffer, 0
        try:
            while len(buffer) - start >= HEADER.size:
                length, kind, _, _, request_id = HEADER.unpack_from(buffer, start)
                if length > MAX_PAYLOAD or not HELLO <= kind <= LOG:
                    raise ProtocolError(f"impossible frame: kind {kind}, {length} bytes")
                body, end = start + HEADER.size, start + HEADER.size + length
                if len(buffer) < end:
                    break
                start = end
                yield Frame(kind, request_id, bytes(memoryview(buffer)[body:end]))
        finally:
            if start:
                del buffer[:start]


def log_line(replica: str, stream: str, message: str, now: Optional[float] = None) -> str:
    """One log record as a line, with its newline; line breaks inside `message` are indented continuation lines."""
    seconds = time.time() if now is None else now
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    text = message.rstrip("\n").replace("\n", "\n    ")
    return f"{stamp}.{int(seconds * 1000) % 1000:03d}Z {replica} {stream} {text}\n"
