"""A gateway with everything around it in the test's hands: routing table, store, principals, replicas."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.contract.gateway.wire_client import DEADLINE_S, Response, WireClient, encode
from tests.fakes.worker import Behaviour, FakeWorker, echo

from headgate import errors
from headgate.access.attempts import Attempts
from headgate.access.principals import OAUTH, Principal
from headgate.domain.audit import AuditEvent
from headgate.domain.routing import EndpointRoute, EntityRoute, ReplicaAddress, RoutingTable
from headgate.gateway import http
from headgate.gateway.keeping import KeepsNothing
from headgate.gateway.plane import Gateway, GatewayDependencies
from headgate.gateway.presence import ServerRow
from headgate.gateway.switchboard import RoutingSource
from headgate.settings import LimitSettings
from headgate.store.activity import Load
from headgate.telemetry.counting import Metrics

Run = Callable[[Coroutine[Any, Any, None]], None]
"""Runs a test's coroutine; the fixture `run` is one per kind of event loop."""

ADMIN = Principal("1", "admin", admin=True)
GUEST = Principal("2", "guest", admin=False, keys=frozenset({"2"}))
"""May see every endpoint and query none."""
QUERIER = Principal("3", "quinn", admin=False, keys=frozenset({"3", "300"}))
STRANGER = Principal("4", "sam", admin=False, keys=frozenset({"4"}))
NARROW = Principal("3", "quinn", admin=False, keys=QUERIER.keys, credential=OAUTH, endpoint_id="id-of-churn")
"""The querier with a token for one endpoint."""
DOOR = "asgi"
"""How requests come in: `asgi`, to the app; `http`, as bytes. Set by the fixture `run`."""


def authenticate(authorization: str | None) -> Principal:
    known = {
        "Bearer secret": ADMIN,
        "Bearer guest": GUEST,
        "Bearer querier": QUERIER,
        "Bearer stranger": STRANGER,
        "Bearer narrow": NARROW,
        "Bearer oauth": dataclasses.replace(QUERIER, credential=OAUTH),
        "Bearer oauth-stranger": dataclasses.replace(STRANGER, credential=OAUTH),
    }
    if authorization not in known:
        raise errors.Unauthenticated("Invalid access token.")
    return known[authorization]


class Client:
    """One HTTP request to an ASGI app, step by step."""

    def __init__(self, app: Any, path: str, body: bytes = b"{}", **options: Any) -> None:
        headers = {"authorization": "Bearer secret", "content-type": "application/json", **options.get("headers", {})}
        self.response = Response()
        self._incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        pieces = options.get("pieces", [body])
        for number, piece in enumerate(pieces):
            more = number < len(pieces) - 1 or options.get("unfinished", False)
            self._incoming.put_nowait({"type": "http.request", "body": piece, "more_body": more})
        self.scope = {
            "type": "http",
            "method": options.get("method", "POST"),
            "path": path,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items() if value],
        }
        self._app = app
        self.readable = asyncio.Event()
        self.readable.set()
        self.task = asyncio.ensure_future(self._run())

    def leave(self) -> None:
        """Closes the connection."""
        self._incoming.put_nowait({"type": "http.disconnect"})

    def unread(self) -> int:
        """Pieces of the body the door did not ask for."""
        return self._incoming.qsize()

    async def done(self) -> Response:
        await asyncio.wait_for(self.task, DEADLINE_S)
        return self.response

    async def _run(self) -> None:
        await self._app(self.scope, self._incoming.get, self._send)

    async def _send(self, message: dict[str, Any]) -> None:
        await self.readable.wait()
        if message["type"] == "http.response.start":
            self.response.status = message["status"]
            self.response.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            assert not self.response.complete, "nothing may follow the last piece"
            if message["body"]:
                self.response.pieces.append(message["body"])
            self.response.complete = not message.get("more_body", False)


AnyClient = Client | WireClient


class Bench:
    """Use as an async context manager. Endpoints are named `churn` unless said otherwise."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder = folder
        self.table = RoutingTable(0, {})
        self.demands: list[tuple[str, str]] = []
        self.loads: list[Load] = []
        self.server_row: tuple[int, int] | None = None
        """What the store knows of this server: routing revision, seen at."""
        self.noted: list[AuditEvent] = []
        """What the audit log was told."""
        self.store_away = False
        self.counted = Metrics(folder / "metrics", "server-0")
        self.workers: list[FakeWorker] = []
        limits = replace(LimitSettings(), **options.get("limits", {}))
        needs = GatewayDependencies(
            authenticate=authenticate,
            routing=RoutingSource(self._revision, self._read),
            demand=self._demand,
            report=self._report,
            server_row=ServerRow(self._write_row, self._remove_row),
            limits=limits,
            load_report_s=options.get("load_report_s", 0.01),
            workspace_id="1234567890123456",
            counted=self.counted,
            note=self.noted.append,
            attempts=options.get("attempts") or Attempts(),
            rng=options.get("rng", random.Random(7)),
            keeper=options.get("keeper") or KeepsNothing(),
        )
        self.gateway = Gateway(dataclasses.replace(needs, **options.get("needs", {})))
        self.http = http.protocol(self.gateway.routes)

    async def __aenter__(self) -> Bench:
        await self.gateway.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for worker in self.workers:
            await worker.stop()
        await self.gateway.stop()

    async def worker(self, behave: Behaviour = echo, *, window: int = 4) -> FakeWorker:
        """A replica that runs and is in no routing table yet."""
        name = f"replica-{len(self.workers) + 1}"
        worker = FakeWorker(self.folder / f"{name}.sock", name=name, window=window, behave=behave)
        self.workers.append(worker)
        return await worker.start()

    async def serve(self, *entities: EntityRoute, state: str = "READY", name: str = "churn", **more: Any) -> None:
        """Puts an endpoint into the routing table and waits until the gateway has it."""
        granted = {"queriers": frozenset({"300"}), "viewers": frozenset({"300", "2"})}
        route = EndpointRoute(f"id-of-{name}", name, state, entities, **{**granted, **more})
        await self.publish({**self.table.endpoints, name: route})

    async def publish(self, endpoints: dict[str, EndpointRoute]) -> None:
        self.table = RoutingTable(self.table.revision + 1, endpoints)
        self.gateway.hint("routing")
        await until(lambda: self.gateway.routing.revision == self.table.revision)

    async def linked(self, count: int) -> None:
        """Waits until that many replicas can be asked."""
        await until(lambda: sum(deployment.reachable for deployment in self.gateway.capacity.all()) == count)

    def send(
        self, path: str = "/serving-endpoints/churn/invocations", body: bytes = b"{}", **options: Any
    ) -> AnyClient:
        if DOOR == "http":
            return WireClient(self.http, self.gateway.routes, encode(path, body, **options))
        return self.to_app(path, body, **options)

    def to_app(self, path: str, body: bytes = b"{}", **options: Any) -> Client:
        """A request past HTTP, whatever the door."""
        return Client(self.gateway.routes, path, body, **options)

    async def ask(
        self, path: str = "/serving-endpoints/churn/invocations", body: bytes = b"{}", **options: Any
    ) -> Response:
        return await self.send(path, body, **options).done()

    async def told(self, words: str) -> None:
        """Asks until the refusal says so."""
        deadline = time.monotonic() + DEADLINE_S
        while words not in (message := (await self.ask()).json()["message"]):
            assert time.monotonic() < deadline, message

    def metric(self, line: str) -> float:
        """Value of one line of `/metrics`, by everything before its value; 0 when it is not there."""
        for shown in self.counted.render_all().decode().splitlines():
            if shown.startswith(line + " "):
                return float(shown.rsplit(" ", 1)[1])
        return 0.0

    def _revision(self) -> int:
        if self.store_away:
            raise OSError("the database is away")
        return self.table.revision

    def _read(self) -> RoutingTable:
        if self.store_away:
            raise OSError("the database is away")
        return self.table

    def _demand(self, endpoint_id: str, key: str, now_ms: int) -> None:
        self.demands.append((endpoint_id, key))

    def _report(self, loads: list[Load], now_ms: int) -> None:
        if self.store_away:
            raise OSError("the database is away")
        self.loads += loads

    def _write_row(self, revision: int, seen_at_ms: int) -> None:
        if self.store_away:
            raise OSError("the database is away")
        self.server_row = (revision, seen_at_ms)

    def _remove_row(self) -> None:
        self.server_row = None


def entity(*workers: FakeWorker, name: str = "churn-1", share: int = 100, problem: str = "") -> EntityRoute:
    """A served entity with these replicas; its deployment key is its name's."""
    replicas = tuple(ReplicaAddress(worker.name, worker.address, worker.window) for worker in workers)
    return EntityRoute(name, f"main.default.{name}", "1", f"key-of-{name}", share, 4, replicas, problem)


async def until(condition: Callable[[], bool]) -> None:
    """Waits for a condition, for a bounded time."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        await asyncio.sleep(0.002)
