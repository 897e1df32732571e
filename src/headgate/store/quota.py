"""Shared rate-limit counters in the database: one exchange is one transaction. Called by `limits.exchange` in a thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import sqlalchemy as sa

from headgate.domain import quota
from headgate.domain.quota import Answer, Ask, Grant
from headgate.store import database as databases
from headgate.store.database import Database
from headgate.store.quota_tables import quotas

_TIDY_EVERY = 256
_MOST_TIDIED = 1000


class Quotas:
    """The books of all counters."""

    def __init__(self, database: Database, now_ms: Callable[[], int] | None = None) -> None:
        """`now_ms` replaces the database's clock, which all servers share."""
        self._database = database
        self._now_ms = now_ms

    def exchange(self, ask: Ask) -> Answer:
        """Settles all lines, or raises and settles none."""
        names = [line.name for line in ask.lines]
        self._make_missing(names)
        with self._database.write() as connection:
            # In one order, so that two servers never wait for each other.
            locked = sa.select(quotas.c.name, quotas.c.book).where(quotas.c.name.in_(names)).order_by(quotas.c.name)
            books = {row.name: row.book for row in connection.execute(locked.with_for_update())}
            # Asked with the rows in hand: who comes later sees later times.
            now_ms = databases.now_ms_within(connection) if self._now_ms is None else self._now_ms()
            grants: dict[str, Grant] = {}
            rows = []
            for line in ask.lines:
                if line.name not in books:  # tidied away this moment: it is told again
                    continue
                book, grants[line.name] = quota.settle(books[line.name], line, ask, now_ms)
                rows.append({"of": line.name, "book": book, "kept_until": quota.kept_until_ms(ask, now_ms)})
            if rows:
                connection.execute(sa.update(quotas).where(quotas.c.name == sa.bindparam("of")), rows)
        if ask.number % _TIDY_EVERY == 0:
            self.tidy(now_ms)
        return Answer(now_ms, grants)

    def tidy(self, now_ms: int) -> int:
        """Deletes counters nobody used for long; returns how many."""
        old = sa.select(quotas.c.name).where(quotas.c.kept_until < now_ms).limit(_MOST_TIDIED)
        with self._database.write() as connection:
            names = list(connection.execute(old.with_for_update(skip_locked=True)).scalars())
            if names:
                connection.execute(sa.delete(quotas).where(quotas.c.name.in_(names)))
        return len(names)

    def _make_missing(self, names: Sequence[str]) -> None:
        with self._database.read() as connection:
            there = set(connection.execute(sa.select(quotas.c.name).where(quotas.c.name.in_(names))).scalars())
        for name in sorted(set(names) - there):
            try:
                with self._database.write() as connection:
                    # Kept for ever until it is written for the first time, which is next.
                    connection.execute(sa.insert(quotas).values(name=name, book=b"", kept_until=2**62))
            except sa.exc.IntegrityError:  # another server was quicker
                pass
