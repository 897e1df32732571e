"""The fake vendor over real HTTP: dialects, and a script of what goes wrong. In the test's own loop, or as a process (`__main__`)."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from tests.fakes.vendor.scene import Dialect, Heard, Reply, Said, Scene, ToolCall

from headgate.domain.usage import Usage

_MOST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Act:
    """How one request is answered. All as it should be, unless said otherwise."""

    scene: Scene = field(default_factory=Scene)
    status: int = 200
    """Another status is refused in the vendor's dialect, with `message`."""
    message: str = "something is wrong"
    headers: Mapping[str, str] = field(default_factory=dict)
    """More of them, e.g. `{"retry-after": "2"}`."""
    body: bytes | None = None
    """Sent in the place of the answer: garbage."""
    delay_s: float = 0.0
    """Before anything is sent."""
    pause_s: float = 0.0
    """Before each piece but the first: a slow drip."""
    piece_bytes: int = 0
    """Pieces of this size in the place of one per event."""
    hang_up_after_bytes: int | None = None
    """The connection breaks when so many bytes of the body were sent; -1 before the head."""


class FakeVendor:
    """One server for any number of dialects. `acts` are played one per request, then `act` again and again."""

    def __init__(self, dialects: Sequence[Dialect], act: Act | None = None) -> None:
        self.act = act or Act()
        self.acts: deque[Act] = deque()
        self.heard: list[Heard] = []
        self.left = 0
        """Requests whose client went away before the answer was out."""
        self.connections = 0
        self._dialects = dialects
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> FakeVendor:
        await self.start()
        return self

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", port, limit=_MOST_BYTES)

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        self.connections += 1
        try:
            while (heard := await _read(reader)) is not None:
                if not await self._answer(heard, reader, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            self.left += 1
        finally:
            self._open.discard(task)
            writer.close()

    async def _answer(self, heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """False when the connection is done for."""
        if heard.route.startswith("/_"):
            return await self._control(heard, writer)
        self.heard.append(heard)
        act = self.acts.popleft() if self.acts else self.act
        reply = self._reply(heard, act)
        if not await _waited(act.delay_s, reader):
            self.left += 1
            return False
        if act.hang_up_after_bytes == -1:
            writer.transport.abort()
            return False
        return await self._send(reply, act, reader, writer)

    def _reply(self, heard: Heard, act: Act) -> Reply:
        dialect = next((dialect for dialect in self._dialects if dialect.claims(heard)), None)
        if dialect is None:
            return Reply((b"no such route",), 404, {"content-type": "text/plain"})
        reply = dialect.reply(heard, act.scene) if act.status == 200 else dialect.refusal(act.status, act.message)
        if act.body is not None:
            reply = dataclasses.replace(reply, pieces=(act.body,))
        if act.piece_bytes:
            body, size = reply.body, act.piece_bytes
            reply = dataclasses.replace(reply, pieces=tuple(body[at : at + size] for at in range(0, len(body), size)))
        return dataclasses.replace(reply, headers={**reply.headers, **act.headers})

    async def _send(self, reply: Reply, act: Act, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        chunked = len(reply.pieces) > 1
        length = {"transfer-encoding": "chunked"} if chunked else {"content-length": str(len(reply.body))}
        head = [
            f"HTTP/1.1 {reply.status} Said",
            *(f"{name}: {value}" for name, value in {**reply.headers, **length}.items()),
        ]
        writer.write("\r\n".join([*head, "", ""]).encode())
        sent = 0
        for number, piece in enumerate(reply.pieces):
            if number and not await _waited(act.pause_s, reader):
                self.left += 1
                return False
            left = len(piece) if act.hang_up_after_bytes is None else act.hang_up_after_bytes - sent
            part = piece[: max(0, left)]
            writer.write(b"%x\r\n%b\r\n" % (len(part), part) if chunked and part else part)
            await writer.drain()
            sent += len(part)
            if left < len(piece):
                writer.transport.close()
                return False
        writer.write(b"0\r\n\r\n" if chunked else b"")
        await writer.drain()
        return True

    async def _control(self, heard: Heard, writer: asyncio.StreamWriter) -> bool:
        """`POST /_acts` plays these next, `PUT /_act` is played from then on, `GET /_heard` tells what came."""
        if heard.route == "/_acts":
            self.acts.extend(act_of(one) for one in orjson.loads(heard.body))
        elif heard.route == "/_act":
            self.act = act_of(heard.json)
        said = {
            "left": self.left,
            "connections": self.connections,
            "heard": [{**dataclasses.asdict(one), "body": one.body.decode("utf-8", "replace")} for one in self.heard],
        }
        body = orjson.dumps(said)
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        )
        await writer.drain()
        return True


def act_of(said: Mapping[str, Any]) -> Act:
    """An act from JSON, for a vendor in another process."""
    told = dict(said)
    if "scene" in told:
        scene = dict(told["scene"])
        scene["choices"] = tuple(_said(one) for one in scene.get("choices", [{"text": "Hello."}]))
        if "usage" in scene:
            scene["usage"] = Usage(**scene["usage"])
        if "embeddings" in scene:
            scene["embeddings"] = tuple(tuple(vector) for vector in scene["embeddings"])
        told["scene"] = Scene(**scene)
    if isinstance(told.get("body"), str):
        told["body"] = told["body"].encode()
    return Act(**told)


def _said(one: Mapping[str, Any]) -> Said:
    calls = tuple(ToolCall(**call) for call in one.get("tool_calls", ()))
    return Said(**{**one, "tool_calls": calls})


async def _read(reader: asyncio.StreamReader) -> Heard | None:
    """The next request of a connection, None when there is none any more."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = _headers(lines)
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Heard(method, path, headers, body)


def _headers(lines: Iterable[str]) -> dict[str, str]:
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    return {name.strip().lower(): value.strip() for name, value in pairs}


async def _waited(delay_s: float, reader: asyncio.StreamReader) -> bool:
    """Waits; False as soon as the client is gone."""
    deadline = asyncio.get_running_loop().time() + delay_s
    while not reader.at_eof():
        left = deadline - asyncio.get_running_loop().time()
        if left <= 0:
            return True
        await asyncio.sleep(min(left, 0.02))
    return False
