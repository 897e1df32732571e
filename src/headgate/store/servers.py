"""Which routing table and directory each server process uses: the servers write, the API reads, control tidies.

A row is believed only while it is fresh, so that a server that died or hangs holds nobody up for longer.
"""

from __future__ import annotations

import sqlalchemy as sa

from headgate.store import tables
from headgate.store.database import Database

FRESH_MS = 5_000
"""How long a row counts. Servers report more often (`gateway.presence`)."""

_S = tables.servers


class Servers:
    """Repository of the server processes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def report(self, server_id: str, routing_revision: int, seen_at_ms: int) -> None:
        """This server uses that table, which was the newest at `seen_at_ms`."""
        values = {"routing_revision": routing_revision, "seen_at": seen_at_ms}
        with self._database.write() as connection:
            known = connection.execute(sa.update(_S).where(_S.c.server_id == server_id).values(values))
            if known.rowcount == 0:
                connection.execute(sa.insert(_S).values(server_id=server_id, **values))

    def report_identity(self, server_id: str, revision: int) -> bool:
        """This server uses that directory. False when it has no row yet: to be said again."""
        with self._database.write() as connection:
            mine = sa.update(_S).where(_S.c.server_id == server_id)
            return connection.execute(mine.values(identity_revision=revision)).rowcount > 0

    def count(self, now_ms: int) -> int:
        """How many were seen lately."""
        with self._database.read() as connection:
            return connection.execute(sa.select(sa.func.count()).where(_fresh(now_ms))).scalar_one()

    def newest_identity(self) -> int:
        """The directory that a server would read now."""
        return self._database.revision("identity")

    def slowest_identity(self, now_ms: int) -> int | None:
        """The oldest directory in use, -1 for one that is not known yet; None when no server was seen lately."""
        oldest = sa.func.min(sa.func.coalesce(_S.c.identity_revision, -1))
        with self._database.read() as connection:
            return connection.execute(sa.select(oldest).where(_fresh(now_ms))).scalar()

    def newest_revision(self) -> int:
        """The routing table that a server would read now."""
        return self._database.revision("routing")

    def slowest_revision(self, now_ms: int) -> int | None:
        """The oldest routing table in use; None when no server was seen lately."""
        with self._database.read() as connection:
            return connection.execute(sa.select(sa.func.min(_S.c.routing_revision)).where(_fresh(now_ms))).scalar()

    def remove(self, server_id: str) -> None:
        """This server has stopped."""
        with self._database.write() as connection:
            connection.execute(sa.delete(_S).where(_S.c.server_id == server_id))

    def prune(self, seen_before_ms: int) -> None:
        """Forgets servers that are gone without a word."""
        with self._database.write() as connection:
            connection.execute(sa.delete(_S).where(_S.c.seen_at < seen_before_ms))


def _fresh(now_ms: int) -> sa.ColumnElement[bool]:
    # One whose clock is far ahead would seem fresh long after its death.
    return _S.c.seen_at.between(now_ms - FRESH_MS, now_ms + FRESH_MS)
