"""Many slow streams at once: how long any of them stalls beyond what the upstream itself was late. Called by `bench.language.compare`.

The upstream says in each chunk when it sent it; both processes read the same monotonic clock. A stall is the largest gap between two chunks of one stream
as they arrive, less the gap in which they were sent.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import uvloop
from bench.language.peers import body
from bench.processes import Launch

_STAMP = re.compile(rb"@(\d{19})@")
_DONE = b"data: [DONE]"


@dataclass(slots=True)
class Seen:
    """Of one run. Delays: from a chunk's sending to its arrival."""

    streams: int
    chunks: int = 0
    broken: int = 0
    worst_stall_ms: float = 0.0
    delays_ms: list[float] = field(default_factory=list)

    def delay_ms(self, share: float) -> float:
        """The delay that this share of all chunks did not exceed."""
        ordered = sorted(self.delays_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


class Stream(asyncio.Protocol):
    """One request, one connection; reads until the stream's end."""

    def __init__(self, request: bytes, seen: Seen) -> None:
        self._request, self._seen = request, seen
        self._last: tuple[int, int] | None = None
        self._tail = b""
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now_ns = time.monotonic_ns()
        data = self._tail + data
        end = 0
        for stamp in _STAMP.finditer(data):
            end = stamp.end()
            self._note(int(stamp[1]), now_ns)
        if _DONE in data:
            self._finish(broken=False)
        self._tail = data[max(end, len(data) - 40) :]

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish(broken=True)

    def _note(self, sent_ns: int, came_ns: int) -> None:
        seen = self._seen
        seen.chunks += 1
        seen.delays_ms.append((came_ns - sent_ns) / 1e6)
        if self._last is not None:
            stall_ns = (came_ns - self._last[1]) - (sent_ns - self._last[0])
            seen.worst_stall_ms = max(seen.worst_stall_ms, stall_ns / 1e6)
        self._last = (sent_ns, came_ns)

    def _finish(self, broken: bool) -> None:
        if not self.over.done():
            self._seen.broken += broken
            self.over.set_result(None)
            self._transport.abort()


def run(launch: Launch, streams: int, chunks: int, gap_ms: int) -> Seen:
    """Streams of so many chunks; they begin one after the other, within a quarter of the time one lasts."""
    return uvloop.run(_run(launch, Seen(streams), f"chunks={chunks} gap_ms={gap_ms}"))


async def _run(launch: Launch, seen: Seen, wish: str) -> Seen:
    loop, place = asyncio.get_running_loop(), urlsplit(launch.url)
    content = body(stream=True, wish=wish)
    headers = {"host": place.netloc, "content-type": "application/json", **launch.headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"POST {place.path} HTTP/1.1\r\n{lines}content-length: {len(content)}\r\n\r\n".encode()
    ramp_s = int(wish.split("=")[1].split()[0]) * int(wish.rpartition("=")[2]) / 4e3
    made = []
    for _ in range(seen.streams):
        _, stream = await loop.create_connection(lambda: Stream(head + content, seen), place.hostname, place.port)
        made.append(stream.over)
        await asyncio.sleep(ramp_s / seen.streams)
    await asyncio.wait(made, timeout=600)
    return seen
