"""CPU the gateway spends on one request: a real server process, a trivial worker behind it, a load generator, all on this machine.

    PYTHONPATH=src python bench/gateway_cpu.py [connections] [seconds] [body bytes]

Prints requests per second, latency, and the server process's CPU per request (everything but worker and client).
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import random
import socket
import sys
import tempfile
import time
from pathlib import Path

import httptools
import uvicorn
import uvloop

from headgate.access.principals import Authenticator, Principal, token_hash
from headgate.domain.routing import EndpointRoute, EntityRoute, ReplicaAddress, RoutingTable
from headgate.gateway import http
from headgate.gateway.front import Front
from headgate.gateway.plane import Gateway, GatewayDependencies
from headgate.gateway.presence import ServerRow
from headgate.gateway.switchboard import RoutingSource
from headgate.settings import LimitSettings
from headgate.telemetry.counting import Metrics
from headgate_worker import protocol

TOKEN = "bench-token"
_REPLY = b'{"status":200,"content_type":"application/json","queue_us":5,"execute_us":20}'
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


def run_server(listener: socket.socket, folder: str, profile: str) -> None:
    replica = ReplicaAddress("r", f"unix:{folder}/worker.sock", 64)
    entity = EntityRoute("churn-1", "main.default.churn", "1", "key", 100, 64, (replica,))
    table = RoutingTable(1, {"churn": EndpointRoute("id", "churn", "READY", (entity,))})
    counted = Metrics(Path(folder) / "metrics", "server-0")
    authenticator = Authenticator(b"key", {token_hash(b"key", TOKEN): Principal("1", "admin", admin=True)})
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
            rng=random.Random(1),
        )
    )
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
    front = Front(gateway, no_api, authenticator.authenticate, counted)
    config = uvicorn.Config(
        front,
        loop="uvloop",
        http=http.OneWriteProtocol if os.environ.get("GENERAL") else http.protocol(gateway.routes),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
    )
    if profile:
        import cProfile
        import signal

        signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn raises it again at its end

        profiler = cProfile.Profile()
        profiler.enable()
        uvicorn.Server(config).run(sockets=[listener])
        profiler.disable()
        profiler.dump_stats(profile)
    else:
        uvicorn.Server(config).run(sockets=[listener])


class Connection(asyncio.Protocol):
    """One keep-alive client that sends the next request when the answer to the last is complete."""

    def __init__(self, request: bytes, latencies: list[float], stop: asyncio.Event) -> None:
        self._request, self._latencies, self._stop = request, latencies, stop
        self._parser = httptools.HttpResponseParser(self)
        self.finished = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._began = time.perf_counter()
        self._transport.write(self._request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        assert self._parser.get_status_code() == 200, self._parser.get_status_code()
        self._latencies.append(time.perf_counter() - self._began)
        if self._stop.is_set():
            self.finished.set_result(None)
            self._transport.close()
        else:
            self._send()


async def load(port: int, connections: int, seconds: float, body: bytes) -> list[float]:
    head = (
        f"POST /serving-endpoints/churn/invocations HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer {TOKEN}\r\n"
        f"content-type: application/json\r\nuser-agent: bench\r\naccept: */*\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    latencies: list[float] = []
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    clients = []
    for _ in range(connections):
        _, client = await loop.create_connection(
            lambda: Connection(head.encode() + body, latencies, stop), "127.0.0.1", port
        )
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


def main() -> None:
    connections, seconds, size = (int(value) for value in (sys.argv[1:4] + ["32", "5", "150"][len(sys.argv) - 1 :]))
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as folder:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.bind(("127.0.0.1", 0))
        listener.listen(1024)
        port = listener.getsockname()[1]
        worker = context.Process(target=run_worker, args=(f"{folder}/worker.sock",), daemon=True)
        server = context.Process(target=run_server, args=(listener, folder, os.environ.get("PROFILE", "")))
        worker.start()
        server.start()
        wait_until_up(port)
        uvloop.run(load(port, connections, 1, b"x" * size))
        before = cpu_s(server.pid)
        began = time.monotonic()
        latencies = uvloop.run(load(port, connections, seconds, b"x" * size))
        elapsed, spent = time.monotonic() - began, cpu_s(server.pid) - before
        count = len(latencies)
        print(
            f"connections {connections}, body {size} B: {count / elapsed:,.0f} requests/s, "
            f"p50 {latencies[count // 2] * 1e3:.2f} ms, p99 {latencies[count * 99 // 100] * 1e3:.2f} ms, "
            f"server CPU {spent / count * 1e6:.0f} µs/request"
        )
        server.terminate()
        server.join(15)
        worker.terminate()


if __name__ == "__main__":
    main()
