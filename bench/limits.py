"""`python -m bench.limits [limit]`: by how much four server processes exceed one limit under load, and what sharing it costs requests.

Real servers in front of a fake vendor, as many requests as they answer; shared through SQLite, PostgreSQL (`HEADGATE_TEST_POSTGRESQL_URL`) and
Redis (`redis-server`, also with Redis killed in the middle), where there are.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from tests.scenario.house import until
from tests.scenario.language_house import language_house
from tests.scenario.test_rate_limits import CLIENTS, Load, limited

SERVERS = 4


@contextmanager
def redis(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Its URL, and its process."""
    socket = folder / "redis.sock"
    command = ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        until(socket.exists, "redis-server is up")
        yield f"unix://{socket}", server
    finally:
        server.kill()
        server.wait()


@contextmanager
def postgresql(url: str) -> Iterator[str]:
    """A database of its own."""
    name = f"bench_{uuid.uuid4().hex[:12]}"
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
        yield sa.make_url(url).set(database=name).render_as_string(hide_password=False)
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


def measure(what: str, limit: int, victim: subprocess.Popen[bytes] | None = None, **settings: str) -> None:
    """One house, one limit; `victim` is killed once a third of the limit is used."""
    folder = Path(tempfile.mkdtemp(prefix="headgate-bench."))
    try:
        with language_house(folder / "data", HEADGATE_WORKERS=str(SERVERS), **settings) as made:
            made.external_endpoint("limited")
            limited(made, "limited", calls=limit)
            load = Load(made.house, "limited")
            began_s = time.monotonic()
            running = threading.Thread(target=load.run, args=(2 * limit // CLIENTS,))
            running.start()
            if victim is not None:
                until(lambda: len(load.let_in) > limit // 3, "a third is used")
                victim.kill()
            running.join()
            took_s = time.monotonic() - began_s
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    let_in = load.most_in_a_minute() if took_s > 60 else len(load.let_in)
    waits = sorted(one.answered_s - one.sent_s for one in load.let_in)
    alone = SERVERS * -(-limit // SERVERS) if victim is not None else 0
    print(
        f"{what:<34} limit {limit}, let in {let_in} ({100 * (let_in - limit) / limit:+.1f} %), bound {limit + alone}, "
        f"{sum(load.statuses.values()) / took_s:.0f} requests/s, let in after p50 {1000 * waits[len(waits) // 2]:.1f} ms, "
        f"p99 {1000 * waits[len(waits) * 99 // 100]:.1f} ms",
        flush=True,
    )


def main() -> None:
    """Prints a line per store."""
    limit = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    measure("SQLite", limit)
    if url := os.environ.get("HEADGATE_TEST_POSTGRESQL_URL"):
        with postgresql(url) as database_url:
            measure("PostgreSQL", limit, HEADGATE_DATABASE_URL=database_url)
    if shutil.which("redis-server"):
        for what in ("Redis", "Redis, killed at a third"):
            with tempfile.TemporaryDirectory(prefix="redis.") as folder, redis(Path(folder)) as (url, server):
                victim = server if what != "Redis" else None
                measure(what, limit, victim, HEADGATE_RATE_LIMITS_REDIS_URL=url)


if __name__ == "__main__":
    main()
