"""A cheap OpenAI for benchmarks: every answer is bytes that are ready, streams tell in each chunk when it was sent.

    python -m bench.language.upstream PORT

Any path: a request whose body says `"stream":true` is streamed, others answered whole. Of a stream, `"n_chunks":…` and `"gap_ms":…` in the body (or in
its `user` field, which gateways pass on) say how many chunks and how far apart; by default 100 as fast as they are read, one write each.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from typing import Any

import httptools
import uvloop

CHUNKS = 100
STAMP = b"@0000000000000000000@"
"""Where a chunk's content says when it was sent, ns of the machine's monotonic clock."""
_STREAM = re.compile(rb'"stream": ?true')
_WISHES = re.compile(rb"chunks=(\d+) gap_ms=(\d+)")


def _compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _framed(event: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(event), event)


def _chunk(delta: dict[str, str], finish: str | None = None, usage: bool = False) -> bytes:
    said = {
        "id": "chatcmpl-9xYzAbCdEf",
        "object": "chat.completion.chunk",
        "created": 1760000000,
        "model": "gpt-fake",
        "choices": [] if usage else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 98, "total_tokens": 107} if usage else None,
    }
    return _framed(b"data: " + _compact(said) + b"\n\n")


_WHOLE = _compact(
    {
        "id": "chatcmpl-9xYzAbCdEf",
        "object": "chat.completion",
        "created": 1760000000,
        "model": "gpt-fake",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello! How can I help you today?"},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18},
    }
)
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(_WHOLE), _WHOLE)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
FIRST = _chunk({"role": "assistant", "content": ""})
_BEFORE, _AFTER = _chunk({"content": f" tok {STAMP.decode()}"}).split(STAMP)
LAST = _chunk({}, "stop") + _chunk({}, usage=True) + _framed(b"data: [DONE]\n\n") + b"0\r\n\r\n"


class Connection(asyncio.Protocol):
    """One client's."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, piece: bytes) -> None:
        self._body.append(piece)

    def on_message_complete(self) -> None:
        body = b"".join(self._body)
        self._body.clear()
        if not _STREAM.search(body):
            self._transport.write(WHOLE)
            return
        wishes = _WISHES.search(body)
        self._left, gap_ms = (int(wishes[1]), int(wishes[2])) if wishes else (CHUNKS, 0)
        self._gap_s = gap_ms / 1e3
        self._transport.write(HEAD + FIRST)
        self._due_s = self._loop.time() + self._gap_s
        self._plan()

    def _plan(self) -> None:
        if self._gap_s:
            self._loop.call_at(self._due_s, self._next)
        else:
            self._loop.call_soon(self._next)

    def _next(self) -> None:
        if self._transport.is_closing():
            return
        self._left -= 1
        if self._left <= 0:
            self._transport.write(LAST)
            return
        self._transport.write(b"%b@%019d@%b" % (_BEFORE, time.monotonic_ns(), _AFTER))
        self._due_s += self._gap_s
        self._plan()


async def serve(port: int) -> None:
    """For ever."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
