"""A vendor that writes whatever bytes a test wants onto real sockets, and the client under test in front of it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tests.fakes import listening

from headgate.clock import SystemClock
from headgate.language_settings import ProviderSettings
from headgate.providers.port import Outgoing
from headgate.telemetry import metrics
from headgate.telemetry.counting import Metrics
from headgate.upstream.addresses import Lookup, Resolver
from headgate.upstream.client import Client
from headgate.upstream.port import Lane, Patience, UpstreamFailed

DEADLINE_S = 30.0
PATIENCE = Patience(connect_s=20, first_byte_s=20, idle_s=20, total_s=25)
LANE = Lane("openai", PATIENCE)
HEADERS = ((b"authorization", b"Bearer sk-secret"), (b"content-type", b"application/json"))
Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


def whole(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """An answer with its length."""
    lines = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers))
    return lines.encode() + b"\r\n" + body


def head(*headers: str, status: str = "200 OK") -> bytes:
    return "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", *headers)).encode() + b"\r\n"


def framed(*pieces: bytes) -> bytes:
    """HTTP chunks, without the last one."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


CHUNKED = head("transfer-encoding: chunked", "content-type: text/event-stream")
END = b"0\r\n\r\n"


@dataclass(frozen=True)
class Heard:
    """One request as the vendor saw it."""

    connection: int
    line: str
    headers: dict[str, str]
    body: bytes


Answering = Callable[[Heard, Writer], Awaitable[None]]


def saying(*answers: bytes) -> Answering:
    """Writes the first to the first request, and so on; the last one to all others."""
    left = list(answers)

    async def answer(heard: Heard, writer: Writer) -> None:
        writer.write(left.pop(0) if len(left) > 1 else left[0])
        await writer.drain()

    return answer


class RawVendor:
    """Reads requests and lets `answering` write. `heard`: what came; `left`: connections the other side has ended."""

    def __init__(self, answering: Answering, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self._answering, self._tls, self._host = answering, tls, host
        self.heard: list[Heard] = []
        self.connections = 0
        self.left = 0
        self.named: list[str | None] = []
        """By TLS's server name indication."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> RawVendor:
        if self._tls is not None:
            self._tls.sni_callback = lambda _, name, __: self.named.append(name)
        self._server = await asyncio.start_server(self._connected, self._host, 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await listening.close(self._server)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http{'s' if self._tls else ''}://{host}:{self.port}/v1/chat/completions"

    def _connected(self, reader: Reader, writer: Writer) -> None:
        self.connections += 1
        task = asyncio.ensure_future(self._serve(reader, writer, self.connections))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: Reader, writer: Writer, connection: int) -> None:
        try:
            while (heard := await read_request(reader, connection)) is not None:
                self.heard.append(heard)
                await self._answering(heard, writer)
            self.left += 1
        except (ConnectionError, asyncio.IncompleteReadError):
            self.left += 1
        finally:
            writer.close()


async def read_request(reader: Reader, connection: int = 0) -> Heard | None:
    try:
        text = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return None
    line, *lines = text.removesuffix("\r\n\r\n").split("\r\n")
    headers = {name.lower(): value for name, value in (each.split(": ", 1) for each in lines)}
    return Heard(connection, line, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


class Clients:
    """Opens the client under test."""

    def __init__(self, folder: Path) -> None:
        self.counted = Metrics(folder, "test")

    @contextlib.asynccontextmanager
    async def opened(
        self, settings: ProviderSettings | None = None, lookup: Lookup | None = None, clock: SystemClock | None = None
    ) -> AsyncIterator[Client]:
        """By default private addresses are allowed."""
        settings = settings or ProviderSettings(allow_private_addresses=True)
        clock = clock or SystemClock()
        more = () if lookup is None else (lookup,)
        client = Client(settings, Resolver(clock, settings.allow_private_addresses, *more), clock, self.counted)
        try:
            yield client
        finally:
            await client.close()

    def number(self, metric: metrics.Metric, *labels: str) -> float:
        return self.counted.number(metric, *labels).value


def post(url: str, body: bytes = b"{}", headers: tuple[tuple[bytes, bytes], ...] = HEADERS) -> Outgoing:
    return Outgoing("POST", url, headers, body)


def patient(**seconds: float) -> Lane:
    """A lane that waits as long as this."""
    return Lane("openai", replace(PATIENCE, **seconds))


async def body_of(client: Client, url: str, lane: Lane = LANE) -> bytes:
    """All of an answer."""
    return await (await client.send(post(url), lane)).body()


async def failure_of(work: Awaitable[object]) -> UpstreamFailed:
    """How it fails."""
    try:
        await asyncio.wait_for(asyncio.ensure_future(work), DEADLINE_S)
    except UpstreamFailed as failed:
        return failed
    raise AssertionError("it did not fail")


async def until(condition: Callable[[], object]) -> None:
    """Waits for it, a while."""
    deadline_s = asyncio.get_running_loop().time() + DEADLINE_S
    while not condition():
        assert asyncio.get_running_loop().time() < deadline_s, "it never came to be"
        await asyncio.sleep(0.002)
