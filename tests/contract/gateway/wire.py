"""A client's connection to the protocol of `gateway.http` in a test's hands: what is sent, what was answered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httptools
from tests.contract.gateway.bench import Bench, Run, entity, until
from tests.contract.gateway.wire_client import connect, encode
from tests.fakes.worker import FakeWorker

PATH = "/serving-endpoints/churn/invocations"


class Answers:
    """Answers read from what was written, one after the other."""

    def __init__(self) -> None:
        self.all: list[tuple[int, dict[str, str], bytes]] = []
        self._parser = httptools.HttpResponseParser(self)
        self._read = 0
        self.on_message_begin()

    def read(self, written: bytearray) -> None:
        """Goes on where it was."""
        new = bytes(written[self._read :])
        self._read += len(new)
        self._parser.feed_data(new)

    def on_message_begin(self) -> None:
        self._headers: dict[str, str] = {}
        self._body = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode()] = value.decode()

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self.all.append((self._parser.get_status_code(), self._headers, self._body))


class Wire:
    """One client's connection to a bench's gateway."""

    def __init__(self, bench: Bench, make: Callable[..., Any] | None = None) -> None:
        self.protocol, self.transport = connect(make or bench.http, bench.gateway.routes)
        self._answers = Answers()

    def send(self, data: bytes) -> None:
        self.transport.feed(data)

    @property
    def answers(self) -> list[tuple[int, dict[str, str], bytes]]:
        self._answers.read(self.transport.written)
        return self._answers.all

    @property
    def bodies(self) -> list[bytes]:
        return [body for _, _, body in self.answers]

    async def answered(self, count: int) -> None:
        await until(lambda: len(self.answers) >= count)

    @property
    def tasks(self) -> int:
        """Requests that have a task."""
        return len(self.protocol.tasks)


def request(body: bytes = b"{}", path: str = PATH, **options: Any) -> bytes:
    return b"".join(encode(path, body, **options))


def on(tmp_path: Path, run: Run, live: Callable[[Bench, FakeWorker], Any], **options: Any) -> None:
    """Runs `live` with a bench and one replica, which echoes until told otherwise."""

    async def served() -> None:
        window = options.pop("window", 4)
        async with Bench(tmp_path, **options) as bench:
            worker = await bench.worker(window=window)
            await bench.serve(entity(worker))
            await bench.linked(1)
            await live(bench, worker)
            await until(lambda: bench.gateway.routes.active == 0)
            assert all(deployment.in_flight == 0 for deployment in bench.gateway.capacity.all())

    run(served())
