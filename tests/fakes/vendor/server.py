"""The fake vendor over real HTTP: dialects, and a script of what goes wrong. In the test's own loop, or as a process (`__main__`)."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import deque
from collections.abc import Iterable, Sequence

import orjson
from tests.fakes import listening
from tests.fakes.vendor import damage
from tests.fakes.vendor.scene import Dialect, Heard, Reply
from tests.fakes.vendor.script import Act, Script, act_of

__all__ = ["Act", "FakeVendor", "act_of"]
_MOST_BYTES = 64 * 1024 * 1024


class FakeVendor:
    """One server for any number of dialects, and of vendors: `scripts` by the first part of the path, else `script`."""

    def __init__(self, dialects: Sequence[Dialect], act: Act | None = None) -> None:
        self.script = Script(act)
        self.scripts: dict[str, Script] = {}
        self.connections = 0
        self.sent_bytes = 0
        """Of bodies of answers, to all clients."""
        self._dialects = dialects
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    @property
    def acts(self) -> deque[Act]:
        """Played next, one per request."""
        return self.script.acts

    @property
    def heard(self) -> list[Heard]:
        return self.script.heard

    @property
    def left(self) -> int:
        """Requests whose client went away before the answer was out."""
        return self.script.left

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
        await listening.close(self._server)
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
            pass
        finally:
            self._open.discard(task)
            writer.close()

    async def _answer(self, heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """False when the connection is done for."""
        if heard.route.startswith("/_"):
            return await self._control(heard, writer)
        script = self.scripts.get(heard.route.split("/")[1], self.script)
        act = script.next(heard)
        script.busy += 1
        try:
            reply = self._reply(heard, act)
            if act.damage is not None:
                reply = damage.damaged(reply, act.damage + script.count)
            whole = await self._play(reply, script, act, reader, writer)
        except ConnectionError:
            whole = None
        finally:
            script.busy -= 1
        if whole is None:
            script.left += 1
        return bool(whole)

    async def _play(
        self, reply: Reply, script: Script, act: Act, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool | None:
        """Whether the answer is out; None when the client went away before."""
        if not await _waited(act.delay_s, reader):
            return None
        if act.hold_from == -1 and not await _held(script, reader):
            return None
        if act.hang_up_after_bytes == -1:
            writer.transport.abort()
            return False
        return await self._send(reply, script, act, reader, writer)

    def _reply(self, heard: Heard, act: Act) -> Reply:
        dialect = next((dialect for dialect in self._dialects if dialect.claims(heard)), None)
        if dialect is None:
            return Reply((b"no such route",), 404, {"content-type": "text/plain"})
        reply = _said(dialect, heard, act)
        if act.body is not None:
            reply = dataclasses.replace(reply, pieces=(act.body,))
        if act.piece_bytes:
            body, size = reply.body, act.piece_bytes
            reply = dataclasses.replace(reply, pieces=tuple(body[at : at + size] for at in range(0, len(body), size)))
        return dataclasses.replace(reply, headers={**reply.headers, **act.headers})

    async def _send(
        self, reply: Reply, script: Script, act: Act, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool | None:
        chunked = len(reply.pieces) > 1
        length = {"transfer-encoding": "chunked"} if chunked else {"content-length": str(len(reply.body))}
        head = [
            f"HTTP/1.1 {reply.status} Said",
            *(f"{name}: {value}" for name, value in {**reply.headers, **length}.items()),
        ]
        writer.write("\r\n".join([*head, "", ""]).encode())
        sent = 0
        for number, piece in enumerate(reply.pieces):
            if number == act.hang_up_after_pieces:
                writer.transport.close()
                return False
            if number >= max(1, act.pause_from) and not await _waited(act.pause_s, reader):
                return None
            if act.hold_from is not None and number >= act.hold_from and not await _held(script, reader):
                return None
            left = len(piece) if act.hang_up_after_bytes is None else act.hang_up_after_bytes - sent
            part = piece[: max(0, left)]
            writer.write(b"%x\r\n%b\r\n" % (len(part), part) if chunked and part else part)
            await writer.drain()
            sent += len(part)
            self.sent_bytes += len(part)
            if left < len(piece):
                writer.transport.close()
                return False
        writer.write(b"0\r\n\r\n" if chunked else b"")
        await writer.drain()
        return True

    async def _control(self, heard: Heard, writer: asyncio.StreamWriter) -> bool:
        """`POST /_acts` plays these next, `PUT /_act` is played from then on, `POST /_go` sends what is held, `GET /_heard` tells what came;
        `/_acts/anna` and so on for the vendor whose addresses begin with `/anna/`. `PUT /_act/anna` makes her, and forgets what she did."""
        _, verb, *named = heard.route.split("/")
        name = named[0] if named else ""
        if verb == "_act" and name:
            self.scripts[name] = Script(act_of(heard.json))
        script = self.scripts[name] if name else self.script
        if verb == "_acts":
            script.acts.extend(act_of(one) for one in orjson.loads(heard.body))
        elif verb == "_act":
            script.act = act_of(heard.json)
        elif verb == "_go":
            script.going_on = True
        body = orjson.dumps({"connections": self.connections, "sent_bytes": self.sent_bytes, **script.told()})
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        )
        await writer.drain()
        return True


def _said(dialect: Dialect, heard: Heard, act: Act) -> Reply:
    if act.status != 200:
        return dialect.refusal(act.status, act.message)
    try:
        return dialect.reply(heard, act.scene)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # A body that is nothing this vendor understands.
        return dialect.refusal(400, f"We could not parse the body of your request: {error!r}")


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


async def _held(script: Script, reader: asyncio.StreamReader) -> bool:
    """Waits until the vendor is told to go on; False as soon as the client is gone."""
    while not script.going_on:
        if not await _waited(0.02, reader):
            return False
    return True


async def _waited(delay_s: float, reader: asyncio.StreamReader) -> bool:
    """Waits; False as soon as the client is gone."""
    deadline = asyncio.get_running_loop().time() + delay_s
    while not reader.at_eof() and reader.exception() is None:
        left = deadline - asyncio.get_running_loop().time()
        if left <= 0:
            return True
        await asyncio.sleep(min(left, 0.02))
    return False
