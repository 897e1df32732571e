"""Every store of shared counters: in memory, SQLite, PostgreSQL and Redis."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.contract.store.conftest import opened
from tests.fakes.quotas import MemoryQuotas

from headgate.domain.quota import Answer, Ask
from headgate.limits import redis_quotas
from headgate.limits.redis_quotas import RedisQuotas
from headgate.store.quota import Quotas


@dataclass
class Shared:
    """A store, and ways to reach it: one per server process, each with connections of its own."""

    another: Callable[[Callable[[], int] | None], Callable[[Ask], Answer]]
    """A clock in its place, or None -> `exchange`."""
    kind: str


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        pytest.skip("redis-server is not installed")
    folder = Path(tempfile.mkdtemp(prefix="headgate-redis."))  # a short path: sockets need one
    socket = folder / "redis.sock"
    options = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no", "--dir", str(folder)]
    server = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline_s = time.monotonic() + 30
        while not socket.exists():
            assert server.poll() is None and time.monotonic() < deadline_s, "redis-server does not start"
            time.sleep(0.01)
        yield f"unix://{socket}"
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(folder)


@pytest.fixture(params=["memory", "sqlite", "postgresql", "redis"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shared]:
    if request.param == "memory":
        books: dict[str, bytes] = {}

        def in_memory(now_ms: Callable[[], int] | None) -> Callable[[Ask], Answer]:
            made = MemoryQuotas(now_ms or (lambda: time.time_ns() // 1_000_000))
            made.books = books
            return made.exchange

        yield Shared(in_memory, "memory")
    elif request.param == "redis":
        url = request.getfixturevalue("redis_url")
        clients = [redis_quotas.connect(url)]
        clients[0].flushall()

        def in_redis(now_ms: Callable[[], int] | None) -> Callable[[Ask], Answer]:
            clients.append(redis_quotas.connect(url))
            return RedisQuotas(clients[-1], now_ms).exchange

        yield Shared(in_redis, "redis")
        for client in clients:
            client.close()
    else:
        with opened(request.param, tmp_path) as made:
            yield Shared(lambda now_ms: Quotas(made, now_ms).exchange, request.param)
