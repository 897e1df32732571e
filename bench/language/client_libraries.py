"""Which HTTP client the gateway should ask vendors with: CPU per request and per chunk of a stream. See decision 0150.

    PYTHONPATH=src:. python -m bench.language.client_libraries [--seconds 3] [ours aiohttp pyreqwest httpx]

Every client runs in a process of its own in the bench's environment `clients`, on uvloop, against `upstream` in another; CPU is that process's own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

ROOT = Path(__file__).parents[2]
HEADERS = {"content-type": "application/json", "authorization": "Bearer sk-bench", "user-agent": "bench"}
MESSAGES = [{"role": "user", "content": "Hello"}]
WHOLE = json.dumps({"model": "gpt-fake", "messages": MESSAGES}).encode()
STREAM = json.dumps({"model": "gpt-fake", "messages": MESSAGES, "stream": True, "user": "chunks=400 gap_ms=0"}).encode()
PACED = STREAM.replace(b"chunks=400 gap_ms=0", b"chunks=60 gap_ms=4")
CONNECTIONS = (1, 32)


class Asks(Protocol):
    """One client library."""

    async def whole(self) -> bytes: ...

    def stream(self) -> AsyncIterator[bytes]: ...


@dataclass
class Place:
    """Where to ask, and what for a stream."""

    url: str
    stream_body: bytes = STREAM


@asynccontextmanager
async def ours(place: Place) -> AsyncIterator[Asks]:
    from headgate.clock import SystemClock
    from headgate.language_settings import ProviderSettings
    from headgate.providers.port import Outgoing
    from headgate.telemetry.counting import Metrics
    from headgate.upstream.client import open_upstream
    from headgate.upstream.port import Lane, Patience

    settings, folder = ProviderSettings(allow_private_addresses=True), Path(tempfile.mkdtemp())
    upstream = open_upstream(settings, SystemClock(), Metrics(folder, "bench"))
    lane = Lane("openai", Patience(5, 60, 60, 600))
    headers = tuple((name.encode(), value.encode()) for name, value in HEADERS.items())

    class Client:
        async def whole(self) -> bytes:
            answer = await upstream.send(Outgoing("POST", place.url, headers, WHOLE), lane)
            return await answer.body()

        async def stream(self) -> AsyncIterator[bytes]:
            answer = await upstream.send(Outgoing("POST", place.url, headers, place.stream_body), lane)
            while piece := await answer.chunk():
                yield piece

    yield Client()
    await upstream.close()


@asynccontextmanager
async def by_aiohttp(place: Place) -> AsyncIterator[Asks]:
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=600, sock_connect=5, sock_read=60)
    connector = aiohttp.TCPConnector(limit=512)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:

        class Client:
            async def whole(self) -> bytes:
                async with session.post(place.url, data=WHOLE, headers=HEADERS, allow_redirects=False) as answer:
                    return await answer.read()

            async def stream(self) -> AsyncIterator[bytes]:
                sent = session.post(place.url, data=place.stream_body, headers=HEADERS, allow_redirects=False)
                async with sent as answer:
                    async for piece in answer.content.iter_any():
                        yield piece

        yield Client()


@asynccontextmanager
async def by_pyreqwest(place: Place) -> AsyncIterator[Asks]:
    from datetime import timedelta

    from pyreqwest.client import ClientBuilder

    build = ClientBuilder().timeout(timedelta(seconds=600)).connect_timeout(timedelta(seconds=5))
    async with build.read_timeout(timedelta(seconds=60)).build() as client:

        class Client:
            async def whole(self) -> bytes:
                answer = await client.post(place.url).headers(HEADERS).body_bytes(WHOLE).build().send()
                return bytes(await answer.bytes())

            async def stream(self) -> AsyncIterator[bytes]:
                async with (
                    client.post(place.url).headers(HEADERS).body_bytes(place.stream_body).build_streamed() as got
                ):
                    while (piece := await got.body_reader.read_chunk()) is not None:
                        yield bytes(piece)

        yield Client()


@asynccontextmanager
async def by_httpx(place: Place) -> AsyncIterator[Asks]:
    import httpx

    async with httpx.AsyncClient(timeout=60) as client:

        class Client:
            async def whole(self) -> bytes:
                return (await client.post(place.url, content=WHOLE, headers=HEADERS)).content

            async def stream(self) -> AsyncIterator[bytes]:
                async with client.stream("POST", place.url, content=place.stream_body, headers=HEADERS) as answer:
                    async for piece in answer.aiter_raw():
                        yield piece

        yield Client()


CLIENTS: dict[str, Callable[[Place], AbstractAsyncContextManager[Asks]]] = {
    "ours": ours,
    "aiohttp": by_aiohttp,
    "pyreqwest": by_pyreqwest,
    "httpx": by_httpx,
}


async def load(client: Asks, what: str, connections: int, seconds: float) -> dict[str, float]:
    """Requests, pieces and events of streams, and the CPU of this process."""
    until = time.perf_counter() + seconds
    requests = pieces = events = 0

    async def one() -> None:
        nonlocal requests, pieces, events
        while time.perf_counter() < until:
            if what == "whole":
                assert b"usage" in await client.whole()
            else:
                async for piece in client.stream():
                    pieces += 1
                    events += piece.count(b"data: ")
            requests += 1

    used, began = time.process_time(), time.perf_counter()
    await asyncio.gather(*(one() for _ in range(connections)))
    used, took = time.process_time() - used, time.perf_counter() - began
    counted = requests if what == "whole" else events
    return {"us": used * 1e6 / counted, "per_s": counted / took, "pieces": pieces, "events": events}


async def measure(name: str, url: str, seconds: float) -> None:
    """In the environment of the clients: prints one line of JSON per load."""
    place = Place(url)
    async with CLIENTS[name](place) as client:
        for what, connections in [(what, c) for what in ("whole", "stream", "paced") for c in CONNECTIONS]:
            place.stream_body = PACED if what == "paced" else STREAM
            await load(client, what, connections, 0.5)
            seen = await load(client, what, connections, seconds)
            print(json.dumps({"client": name, "what": what, "connections": connections, **seen}), flush=True)


def run(name: str, url: str, seconds: float) -> list[dict[str, Any]]:
    """`measure` in a process of its own."""
    from bench.environments import environment

    python = environment("clients") / "bin" / "python"
    command = [str(python), "-m", "bench.language.client_libraries", "--measure", name, url, str(seconds)]
    environ = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        print(f"{name}: {done.stderr[-1500:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def main() -> None:
    if sys.argv[1:2] == ["--measure"]:
        import uvloop

        uvloop.run(measure(sys.argv[2], sys.argv[3], float(sys.argv[4])))
        return
    from bench.processes import free_port

    parser = argparse.ArgumentParser(prog="bench.language.client_libraries")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("clients", nargs="*", default=list(CLIENTS))
    wanted = parser.parse_args()
    port = free_port()
    upstream = subprocess.Popen([sys.executable, "-m", "bench.language.upstream", str(port)], cwd=ROOT)
    try:
        time.sleep(0.5)
        seen = [
            line
            for name in wanted.clients
            for line in run(name, f"http://127.0.0.1:{port}/v1/chat/completions", wanted.seconds)
        ]
    finally:
        upstream.terminate()
        upstream.wait()
    print("| client | what | c=1 µs CPU | c=1 per s | c=32 µs CPU | c=32 per s | events per piece, c=1 / c=32 |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for one, many in zip(seen[::2], seen[1::2], strict=True):
        joined = [f"{line['events'] / line['pieces']:.1f}" if line["pieces"] else "–" for line in (one, many)]
        print(
            f"| {one['client']} | {one['what']} | {one['us']:.1f} | {one['per_s']:,.0f} | {many['us']:.1f} | {many['per_s']:,.0f} "
            f"| {' / '.join(joined)} |"
        )


if __name__ == "__main__":
    main()
