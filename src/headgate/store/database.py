"""Connections, transactions and revisions. Every repository is handed a `Database`; only this file knows the dialect."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from headgate import notices
from headgate.store import tables

_START = 0x48656164
"""Names the lock of those who start."""
_PATIENCE_S = 120

CLOCKS_AGREE_MS = 1000
"""Clocks of servers that share a database may differ by so much; beyond, they take each other for dead."""


class Database:
    """An engine plus the change notices of what is written through it.

    Synchronous and thread-safe: event loops call it through `asyncio.to_thread`.
    """

    def __init__(self, url: str, announcer: notices.Announcer | None = None) -> None:
        self.url = url
        self._announcer = announcer
        options: dict[str, Any] = {"pool_pre_ping": True}
        if url.startswith("sqlite"):
            options = {"connect_args": {"timeout": 30.0, "check_same_thread": False}}
        self.engine = sa.create_engine(url, **options)
        if url.startswith("sqlite"):
            sa.event.listen(self.engine, "connect", _prepare_sqlite)
            # The driver's own implicit BEGIN would come too late: a read that later writes must not lose to a rival.
            sa.event.listen(self.engine, "begin", _begin_immediate)

    @property
    def is_for_one_machine(self) -> bool:
        """Whether it is a file beside the one house that uses it."""
        return self.url.startswith("sqlite")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else is within this, in any house of this database. For what is made at the first start."""
        if self.is_for_one_machine:
            yield  # the house's lock says so
            return
        with self.engine.connect() as connection:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_PATIENCE_S}s'")
            connection.execute(sa.select(sa.func.pg_advisory_lock(_START)))
            connection.commit()  # a transaction that waits for long would be in the way of others' migrations
            try:
                yield
            finally:
                connection.execute(sa.select(sa.func.pg_advisory_unlock(_START)))

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection for reading; nothing written through it is kept."""
        with self.engine.connect().execution_options(headgate_read=True) as connection:
            yield connection

    @contextmanager
    def write(self, *topics: str) -> Iterator[sa.Connection]:
        """A transaction; when it commits, the revision of each topic has grown and listeners are told."""
        with self.engine.begin() as connection:
            for topic in topics:
                grow_within(connection, topic)
            yield connection
        if self._announcer is not None:
            for topic in topics:
                self._announcer.announce(topic)

    def revision(self, topic: str) -> int:
        """How often a topic was written; 0 when never."""
        with self.read() as connection:
            return revision_within(connection, topic)

    def close(self) -> None:
        """Gives all connections back."""
        self.engine.dispose()


def revision_within(connection: sa.Connection, topic: str) -> int:
    """As `Database.revision`; inside `Database.write(topic)`, the one that this transaction makes."""
    query = sa.select(tables.revisions.c.value).where(tables.revisions.c.topic == topic)
    return connection.execute(query).scalar() or 0


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_immediate(connection: sa.Connection) -> None:
    reads = connection.get_execution_options().get("headgate_read")
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def grow_within(connection: sa.Connection, topic: str) -> None:
    """The revision of a topic grows with this transaction; nobody is told. Until it ends no other can do the same."""
    rows = tables.revisions
    grow = sa.update(rows).where(rows.c.topic == topic).values(value=rows.c.value + 1)
    if connection.execute(grow).rowcount:
        return
    try:
        with connection.begin_nested():
            connection.execute(sa.insert(rows).values(topic=topic, value=1))
    except sa.exc.IntegrityError:  # a rival was the first
        connection.execute(grow)


def now_ms_within(connection: sa.Connection) -> int:
    """The clock that all servers of this database share, this moment: the database's own; of SQLite, which is on one machine, that machine's."""
    if connection.dialect.name == "sqlite":
        return time.time_ns() // 1_000_000
    return int(connection.execute(sa.select(sa.extract("epoch", sa.func.clock_timestamp()) * 1000)).scalar_one())


def ahead_ms_within(connection: sa.Connection) -> int:
    """How far this machine's clock is ahead of the one that all servers share, to about the time it takes to ask."""
    before_ms = time.time_ns() // 1_000_000
    shared_ms = now_ms_within(connection)
    return (before_ms + time.time_ns() // 1_000_000) // 2 - shared_ms
