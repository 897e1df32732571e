"""Steady load over keep-alive connections, counting every answer. Runs on a loop in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.scenario.house import TOKEN, until


class SteadyLoad:
    """`connections` clients, each with one request at a time, until `stop` or until `total` answers."""

    def __init__(
        self,
        port: int,
        endpoint: str,
        body: Any,
        *,
        connections: int = 4,
        check: Callable[[Any], bool] = lambda _: True,
        pause_s: float = 0.0,
    ) -> None:
        """`pause_s`: of each client between two requests, where load that never ends is not the point."""
        self.port = port
        payload = json.dumps(body).encode()
        self._request = (
            f"POST /serving-endpoints/{endpoint}/invocations HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n"
        ).encode() + payload
        self._check = check
        self._pause_s = pause_s
        self._connections = connections
        self._stopping = False
        self.answered = 0
        self._answered_to = [0] * connections
        self.failures: list[str] = []
        """Answers that were not 200 or not what `check` wants."""
        self.cut = 0
        """Requests whose connection ended before the answer."""
        self.refused = 0
        """Connections that could not be made."""
        self.entities: Counter[str] = Counter()
        self.slowest_s = 0.0
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)

    def __enter__(self) -> SteadyLoad:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._thread.join(120)
        assert not self._thread.is_alive(), "the load did not end"

    def reach(self, total: int, timeout_s: float = 120.0) -> None:
        """Blocks until that many requests have been answered since the start. Fails when there is no answer for that long."""
        seen, deadline = -1, 0.0
        while self.answered < total:
            if self.answered > seen:
                seen, deadline = self.answered, time.monotonic() + timeout_s
            assert time.monotonic() < deadline, f"only {self.answered} of {total} answered; {self}"
            time.sleep(0.01)

    def more(self, count: int) -> None:
        """Blocks until `count` more were answered."""
        self.reach(self.answered + count)

    def everybody(self) -> None:
        """Blocks until each client was answered what it asks now."""
        before = list(self._answered_to)
        until(
            lambda: all(now > then for now, then in zip(self._answered_to, before, strict=True)), f"all go on; {self}"
        )

    def __repr__(self) -> str:
        return (
            f"<{self.answered} answered, {len(self.failures)} failed {self.failures[:3]}, {self.cut} cut, "
            f"{self.refused} refused, slowest {self.slowest_s:.2f} s, {dict(self.entities)}>"
        )

    async def _main(self) -> None:
        await asyncio.gather(*(self._client(number) for number in range(self._connections)))

    async def _client(self, number: int) -> None:
        while not self._stopping:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                self.refused += 1
                await asyncio.sleep(0.02)
                continue
            try:
                while not self._stopping:
                    await self._one(number, reader, writer)
                    if self._pause_s:
                        await asyncio.sleep(self._pause_s)
            except (OSError, asyncio.IncompleteReadError) as error:
                # A keep-alive connection that a draining server closes between two requests is not a failure:
                # HTTP clients send again when nothing of the answer came and the connection was idle.
                if not isinstance(error, _Idle):
                    self.cut += 1
            finally:
                writer.close()

    async def _one(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if reader.at_eof():
            raise _Idle
        began = time.monotonic()
        writer.write(self._request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = head.split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        body = await reader.readexactly(int(headers["content-length"]))
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)
        self.answered += 1
        self._answered_to[number] += 1
        self.entities[headers.get("served-model-name", "?")] += 1
        status = lines[0].split()[1]
        if status != "200" or not self._check(json.loads(body)):
            self.failures.append(f"{status} {body[:300].decode(errors='replace')}")
        if headers.get("connection") == "close":
            raise _Idle


class _Idle(OSError):
    """The connection ended while nothing was asked on it."""
