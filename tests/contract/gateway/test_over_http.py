"""The whole front of a server process under uvicorn, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import uvicorn
from tests.contract.gateway.bench import DEADLINE_S, Bench, Run, entity, until
from tests.fakes.worker import silence

from headgate.gateway import http
from headgate.gateway.front import Front

HEAD = b"POST /serving-endpoints/churn/invocations HTTP/1.1\r\nhost: x\r\nauthorization: Bearer secret\r\n"


class Api:
    """Stands for the REST API: remembers its lifespan, answers with the path."""

    def __init__(self) -> None:
        self.life: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for moment in ("startup", "shutdown"):
                await receive()
                self.life.append(moment)
                await send({"type": f"lifespan.{moment}.complete"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})


class Wire:
    """One connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        self.writer.write(request)
        return await asyncio.wait_for(self.answer(), DEADLINE_S)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        if "content-length" in headers:
            body = await self.reader.readexactly(int(headers["content-length"]))
        else:
            body = b""
            while size := int(await self.reader.readline(), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readline()
        return int(first.split()[1]), headers, body

    def close(self) -> None:
        self.writer.close()


class Served:
    """A running server."""

    def __init__(self, bench: Bench, port: int, api: Api) -> None:
        self.bench, self.port, self.api = bench, port, api

    async def connect(self) -> Wire:
        return Wire(*await asyncio.open_connection("127.0.0.1", self.port))


@contextlib.asynccontextmanager
async def served(folder: Path, **options: Any) -> AsyncIterator[Served]:
    bench, api = Bench(folder, **options), Api()
    front = Front(bench.gateway, api, bench.counted)
    config = uvicorn.Config(
        front, http=http.protocol(bench.gateway.routes), ws="none", lifespan="on", log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    running = asyncio.ensure_future(server._serve(sockets=[listener]))  # `serve` would take over the signals
    try:
        await until(lambda: server.started)
        yield Served(bench, listener.getsockname()[1], api)
    finally:
        server.should_exit = True
        await asyncio.wait_for(running, DEADLINE_S)
        for worker in bench.workers:
            await worker.stop()


def test_health_tells_whether_requests_can_be_served(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with served(tmp_path) as server:
            wire = await server.connect()
            assert (await wire.ask(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"))[0] == 200
            server.bench.gateway.routes.draining = True
            status, _, body = await wire.ask(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
            assert (status, json.loads(body)) == (503, {"status": "not ready"})
            wire.close()

    run(live())


def test_metrics_are_for_administrators(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with served(tmp_path) as server:
            wire = await server.connect()
            status, _, body = await wire.ask(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
            assert (status, json.loads(body)["error_code"]) == (401, "UNAUTHENTICATED")
            asked = b"GET /metrics HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\n\r\n"
            status, _, body = await wire.ask(asked % b"guest")
            assert (status, json.loads(body)["error_code"]) == (403, "PERMISSION_DENIED")
            assert [(one.path, one.status_code) for one in server.bench.noted] == [("/metrics", 401), ("/metrics", 403)]
            status, headers, body = await wire.ask(asked % b"secret")
            assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
            assert b"headgate_routing_revision" in body
            wire.close()

    run(live())


def test_what_is_not_the_gateways_is_the_apis(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with served(tmp_path) as server:
            wire = await server.connect()
            assert (await wire.ask(b"GET /api/2.0/x HTTP/1.1\r\nhost: x\r\n\r\n"))[2] == b"/api/2.0/x"
            for path in (b"/ai-gateway/openai/v1/models", b"/serving-endpoints/models"):
                status, _, body = await wire.ask(b"GET %b HTTP/1.1\r\nhost: x\r\n\r\n" % path)
                assert (status, json.loads(body)["error_code"]) == (401, "UNAUTHENTICATED")
            wire.close()
        assert server.api.life == ["startup", "shutdown"]

    run(live())


def test_answers_on_one_connection_come_in_one_piece_each(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with served(tmp_path) as server:
            await server.bench.serve(entity(await server.bench.worker()))
            wire = await server.connect()
            for body in (b"first", b"second"):
                wire.writer.write(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
                packet = await asyncio.wait_for(wire.reader.read(65536), DEADLINE_S)
                assert packet.startswith(b"HTTP/1.1 200 OK\r\n")
                assert packet.endswith(b"\r\n\r\n" + body)
            wire.close()

    run(live())


def test_after_a_body_that_was_too_long_the_connection_goes_on(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with served(tmp_path, limits={"payload_bytes": 1_000_000}) as server:
            await server.bench.serve(entity(await server.bench.worker()))
            wire = await server.connect()
            long = b"x" * 5_000_000
            status, _, body = await wire.ask(HEAD + b"content-length: %d\r\n\r\n" % len(long) + long)
            assert (status, json.loads(body)["error_code"]) == (400, "BAD_REQUEST")
            chunked = HEAD + b"transfer-encoding: chunked\r\n\r\n"
            status, _, body = await wire.ask(chunked + b"%x\r\n" % len(long) + long + b"\r\n0\r\n\r\n")
            assert (status, json.loads(body)["error_code"]) == (400, "BAD_REQUEST")
            assert (await wire.ask(HEAD + b"content-length: 2\r\n\r\nok"))[2] == b"ok"
            wire.close()

    run(live())


def test_a_client_that_hangs_up_cancels_its_work(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with served(tmp_path) as server:
            worker = await server.bench.worker(silence)
            await server.bench.serve(entity(worker))
            wire = await server.connect()
            wire.writer.write(HEAD + b"content-length: 2\r\n\r\n{}")
            await until(lambda: len(worker.received) == 1)
            wire.close()
            await asyncio.wait_for(worker.received[0].cancelled.wait(), DEADLINE_S)
            await until(lambda: server.bench.gateway.routes.active == 0)

    run(live())


def test_a_stream_arrives_event_by_event_and_hanging_up_cancels_it(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with served(tmp_path) as server:
            worker = await server.bench.worker(silence)
            await server.bench.serve(entity(worker))
            wire = await server.connect()
            wire.writer.write(HEAD + b"content-length: 2\r\n\r\n{}")
            await until(lambda: len(worker.received) == 1)
            worker.received[0].stream()
            for number in range(3):
                event = b"data: %d\n\n" % number
                worker.received[0].chunk(event)
                await asyncio.wait_for(wire.reader.readuntil(event), DEADLINE_S)
            wire.close()
            await asyncio.wait_for(worker.received[0].cancelled.wait(), DEADLINE_S)

    run(live())


def test_requests_in_flight_are_finished_before_the_server_ends(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with served(tmp_path) as server:
            worker = await server.bench.worker(silence)
            await server.bench.serve(entity(worker))
            wire = await server.connect()
            wire.writer.write(HEAD + b"content-length: 2\r\n\r\n{}")
            await until(lambda: len(worker.received) == 1)
            draining = asyncio.ensure_future(server.bench.gateway.drain(5))
            await until(lambda: not server.bench.gateway.ready)
            worker.received[0].reply(b"in time")
            assert (await asyncio.wait_for(wire.answer(), DEADLINE_S))[2] == b"in time"
            await draining
            wire.close()

    run(live())
