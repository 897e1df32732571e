"""What requests need: demand for sleeping deployments, and load per server. Servers write, control reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from headgate.store import tables, tracking_credentials
from headgate.store.database import Database

_D = tables.demands
_L = tables.loads


@dataclass(frozen=True, slots=True)
class Load:
    """Requests of one deployment in one server process, or summed over all."""

    deployment_key: str
    in_flight: int
    queued: int
    last_request_at_ms: int


class Activity:
    """Repository of demand and load."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def demand(self, endpoint_id: str, deployment_key: str, now_ms: int) -> None:
        """A request waits for this deployment: wake it."""
        with self._database.write("demand") as connection:
            connection.execute(sa.delete(_D).where(_D.c.deployment_key == deployment_key))
            row = {"endpoint_id": endpoint_id, "deployment_key": deployment_key, "at": now_ms}
            connection.execute(sa.insert(_D).values(row))

    def demands(self) -> Mapping[str, int]:
        """Newest demand per deployment key, milliseconds since the epoch."""
        with self._database.read() as connection:
            return {row.deployment_key: row.at for row in connection.execute(sa.select(_D))}

    def report(self, server_id: str, loads: Iterable[Load], now_ms: int) -> None:
        """Replaces what one server reported for these deployments."""
        rows = [
            {
                "server_id": server_id,
                "deployment_key": load.deployment_key,
                "in_flight": load.in_flight,
                "queued": load.queued,
                "last_request_at": load.last_request_at_ms,
                "reported_at": now_ms,
            }
            for load in loads
        ]
        if not rows:
            return
        with self._database.write() as connection:
            keys = [row["deployment_key"] for row in rows]
            connection.execute(sa.delete(_L).where(_L.c.server_id == server_id, _L.c.deployment_key.in_(keys)))
            connection.execute(sa.insert(_L), rows)

    def loads(self, fresh_after_ms: int) -> Mapping[str, Load]:
        """Sum over servers per deployment key. In-flight counts reported before `fresh_after_ms` are of dead servers: ignored."""
        fresh = sa.case((_L.c.reported_at >= fresh_after_ms, 1), else_=0)
        query = sa.select(
            _L.c.deployment_key,
            sa.func.sum(_L.c.in_flight * fresh).label("in_flight"),
            sa.func.sum(_L.c.queued * fresh).label("queued"),
            sa.func.max(_L.c.last_request_at).label("last_request_at"),
        ).group_by(_L.c.deployment_key)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return {
            row.deployment_key: Load(row.deployment_key, int(row.in_flight), int(row.queued), int(row.last_request_at))
            for row in rows
        }

    def prune(self, live_keys: frozenset[str], reported_before_ms: int) -> None:
        """Forgets deployments that are no more, and rows of servers that are gone."""
        with self._database.write() as connection:
            known = set(connection.execute(sa.select(_L.c.deployment_key).distinct()).scalars())
            gone = list(known - live_keys)
            old = _L.c.reported_at < reported_before_ms
            connection.execute(sa.delete(_L).where(sa.or_(_L.c.deployment_key.in_(gone), old)))
            connection.execute(sa.delete(_D).where(_D.c.deployment_key.not_in(live_keys)))
            tracking_credentials.prune_within(connection, live_keys)
