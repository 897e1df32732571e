"""CPU the gateway spends on one request: a real server process, a trivial worker behind it, a load generator, all on this machine.

    PYTHONPATH=src python bench/gateway_cpu.py [--general] [--split] [--kept] [--profile FILE] [connections] [seconds] [body bytes]

Prints requests per second, latency, what of the median is the gateway's, and the server process's CPU per request (everything
but worker and client). `--general` sends everything through ASGI tasks, `--split` sends heads and bodies apart, as most
HTTP clients of Python do. `--kept` writes each request down for an inference table, in the spool, before it is answered.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import gc
import multiprocessing
import os
import random
import socket
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import httptools
import uvicorn
import uvloop

from headgate import recorded
from headgate.access.directory import Directory
from headgate.access.principals import Authenticator, token_hash
from headgate.clock import SystemClock
from headgate.domain.identity import ADMINS_ID, AccessToken, Group, Population, User
from headgate.domain.request_record import InferenceTable
from headgate.domain.routing import PLAIN, EndpointRoute, EntityRoute, GatewayRoute, ReplicaAddress, RoutingTable
from headgate.gateway import http
from headgate.gateway.front import Front
from headgate.gateway.plane import Gateway, GatewayDependencies
from headgate.gateway.presence import ServerRow
from headgate.gateway.switchboard import RoutingSource
from headgate.settings import LimitSettings, Settings
from headgate.telemetry.counting import Metrics
from headgate_worker import protocol

TOKEN = "bench-token"
_REPLY = b'{"status":200,"content_type":"application/json","queue_us":5,"execute_us":20}'
_REQUEST = b'{"content_type":"application/json","request_id":"r","deadline_ms":1000}'
_BODY = b'{"predictions": [1]}'


class Worker(asyncio.Protocol):
    """Answers everything with the same body."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._decoder = protocol.Decoder()

    def data_received(self, data: bytes) -> None:
        out = []
        for kind, number, _ in self._decoder.feed(data):
            if kind == protocol.HELLO:
                hello = {"version": protocol.VERSION, "replica": "r", "slots": 64, "window": 64}
                out.append(protocol.encode_json(protocol.HELLO, 0, hello))
            elif kind == protocol.REQUEST:
                out.append(protocol.encode_with_meta(protocol.REPLY, number, _REPLY, _BODY))
        self._transport.write(b"".join(out))  # type: ignore[attr-defined]


def run_worker(path: str) -> None:
    async def live() -> None:
        server = await asyncio.get_running_loop().create_unix_server(Worker, path)
        await server.serve_forever()

    uvloop.run(live())


async def no_api(scope: dict, receive: object, send: object) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})


def run_server(listener: socket.socket, folder: str, given: argparse.Namespace) -> None:
    replica = ReplicaAddress("r", f"unix:{folder}/worker.sock", 64)
    entity = EntityRoute("churn-1", "main.default.churn", "1", "key", 100, 64, (replica,))
    kept = GatewayRoute(usage_tracked=True, inference_table=InferenceTable("main", "default", "churn"))
    route = EndpointRoute("id", "churn", "READY", (entity,), gateway=kept if given.kept else PLAIN)
    table = RoutingTable(1, {"churn": route})
    counted = Metrics(Path(folder) / "metrics", "server-0")
    settings = dataclasses.replace(Settings(), data_dir=Path(folder))
    admins = Group(ADMINS_ID, "admins", frozenset({"1"}))
    token = AccessToken("t", token_hash(b"key", TOKEN), "1", "1", 0)
    directory = Directory(Population(1, users=(User("1", "admin"),), groups=(admins,), tokens=(token,)))
    authenticator = Authenticator(b"key", lambda: directory, SystemClock())
    gateway = Gateway(
        GatewayDependencies(
            authenticate=authenticator.authenticate,
            routing=RoutingSource(lambda: 1, lambda: table),
            demand=lambda endpoint, key, now: None,
            report=lambda loads, now: None,
            server_row=ServerRow(lambda revision, at: None, lambda: None),
            limits=LimitSettings(),
            load_report_s=0.5,
            workspace_id="1234567890123456",
            counted=counted,
            keeper=recorded.keeper(settings, counted),
            rng=random.Random(1),
        )
    )
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
    front = Front(gateway, no_api, counted)
    config = uvicorn.Config(
        front,
        loop="uvloop",
        http=http.OneWriteProtocol if given.general else http.protocol(gateway.routes),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
    )
    if given.profile:
        import cProfile
        import signal

        signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn raises it again at its end

        profiler = cProfile.Profile()
        profiler.enable()
        uvicorn.Server(config).run(sockets=[listener])
        profiler.disable()
        profiler.dump_stats(given.profile)
    else:
        uvicorn.Server(config).run(sockets=[listener])


class Connection(asyncio.Protocol):
    """One keep-alive client that sends the next request, in its parts, when the answer to the last is complete."""

    def __init__(self, parts: list[bytes], latencies: list[float], stop: asyncio.Event) -> None:
        self._parts, self._latencies, self._stop = parts, latencies, stop
        self._parser = httptools.HttpResponseParser(self)
        self.finished = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._began = time.perf_counter()
        for part in self._parts:
            self._transport.write(part)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        assert self._parser.get_status_code() == 200, self._parser.get_status_code()
        self._answered()

    def _answered(self) -> None:
        self._latencies.append(time.perf_counter() - self._began)
        if self._stop.is_set():
            self.finished.set_result(None)
            self._transport.close()
        else:
            self._send()


class Straight(Connection):
    """The same to the worker, in its own protocol: what there is without a gateway."""

    def __init__(self, parts: list[bytes], latencies: list[float], stop: asyncio.Event) -> None:
        super().__init__(parts, latencies, stop)
        self._decoder = protocol.Decoder()

    def data_received(self, data: bytes) -> None:
        for _ in self._decoder.split(data):
            self._answered()


def http_request(port: int, body: bytes, *, split: bool) -> list[bytes]:
    head = (
        f"POST /serving-endpoints/churn/invocations HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer {TOKEN}\r\n"
        f"content-type: application/json\r\nuser-agent: bench\r\naccept: */*\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode()
    return [head, body] if split else [head + body]


async def load(make: Callable[..., Connection], address: int | str, connections: int, seconds: float) -> list[float]:
    """`make(latencies, stop)` for every connection to a port or a Unix socket. Latencies, sorted."""
    latencies: list[float] = []
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    clients = []
    for _ in range(connections):
        if isinstance(address, int):
            _, client = await loop.create_connection(lambda: make(latencies, stop), "127.0.0.1", address)
        else:
            _, client = await loop.create_unix_connection(lambda: make(latencies, stop), address)
        clients.append(client)
    await asyncio.sleep(seconds)
    stop.set()
    await asyncio.gather(*(client.finished for client in clients))
    return sorted(latencies)


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_until_up(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as probe:
                probe.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
                if b" 200 " in probe.recv(64):
                    return
        except OSError:
            pass
        time.sleep(0.05)
    raise SystemExit("the server did not come up")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--general", action="store_true")
    parser.add_argument("--split", action="store_true")
    parser.add_argument("--kept", action="store_true")
    parser.add_argument("--profile", default="")
    parser.add_argument("connections", nargs="?", type=int, default=32)
    parser.add_argument("seconds", nargs="?", type=float, default=5)
    parser.add_argument("size", nargs="?", type=int, default=150)
    return parser.parse_args()


def main() -> None:
    given = parse()
    connections, body = given.connections, b"x" * given.size
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as folder:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.bind(("127.0.0.1", 0))
        listener.listen(1024)
        port, path = listener.getsockname()[1], f"{folder}/worker.sock"
        worker = context.Process(target=run_worker, args=(path,), daemon=True)
        server = context.Process(target=run_server, args=(listener, folder, given))
        worker.start()
        server.start()
        wait_until_up(port)
        parts = http_request(port, body, split=given.split)
        make = partial(Connection, parts)
        uvloop.run(load(make, port, connections, 1))
        before = cpu_s(server.pid)
        began = time.monotonic()
        latencies = uvloop.run(load(make, port, connections, given.seconds))
        elapsed, spent = time.monotonic() - began, cpu_s(server.pid) - before
        frame = protocol.encode_with_meta(protocol.REQUEST, 1, _REQUEST, body)
        straight = uvloop.run(load(partial(Straight, [frame]), path, connections, 1))
        count = len(latencies)
        median = latencies[count // 2]
        print(
            f"connections {connections}, body {given.size} B: {count / elapsed:,.0f} requests/s, "
            f"p50 {median * 1e3:.2f} ms (the gateway's {(median - straight[len(straight) // 2]) * 1e3:.2f}), "
            f"p99 {latencies[count * 99 // 100] * 1e3:.2f} ms, server CPU {spent / count * 1e6:.0f} µs/request"
        )
        server.terminate()
        server.join(15)
        worker.terminate()


if __name__ == "__main__":
    main()
