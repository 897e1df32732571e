"""Credentials with which deployments write traces. Holds hashes and sealed texts only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from headgate.store import tables, tracking_tables
from headgate.store.database import Database

_C = tracking_tables.tracking_credentials
_E = tables.endpoints
_TOPIC = "sealing"
"""Of `access.sealing`: sealed texts are made and stored within one transaction of it."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """A deployment that traces."""

    key: str
    endpoint_id: str
    experiment_id: str


@dataclass(frozen=True, slots=True)
class Fresh:
    """A credential that was just made."""

    token_hash: str
    sealed: str


class TrackingCredentials:
    """Repository. Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def sealed(self, deployed: Deployed, now_ms: int, make: Callable[[], Fresh]) -> str | None:
        """The deployment's sealed credential, made with `make` when it has none. None: its endpoint is gone."""
        with self._database.write(_TOPIC) as connection:
            mine = _C.c.deployment_key == deployed.key
            kept = connection.execute(sa.select(_C.c.sealed).where(mine)).scalar()
            if kept is not None:
                return str(kept)
            alive = sa.and_(_E.c.id == deployed.endpoint_id, _E.c.deleted_at.is_(None))
            if connection.execute(sa.select(_E.c.id).where(alive)).first() is None:
                return None
            fresh = make()
            row = {
                "deployment_key": deployed.key,
                "endpoint_id": deployed.endpoint_id,
                "experiment_id": deployed.experiment_id,
                "token_hash": fresh.token_hash,
                "sealed": fresh.sealed,
                "created_at": now_ms,
            }
            connection.execute(sa.insert(_C).values(row))
            return fresh.sealed

    def holder(self, token_hash: str) -> tuple[Deployed, str] | None:
        """The deployment a credential belongs to and its endpoint's creator; None when there is none or the endpoint was deleted."""
        query = (
            sa.select(_C.c.deployment_key, _C.c.endpoint_id, _C.c.experiment_id, _E.c.creator)
            .join(_E, _E.c.id == _C.c.endpoint_id)
            .where(_C.c.token_hash == token_hash, _E.c.deleted_at.is_(None))
        )
        with self._database.read() as connection:
            row = connection.execute(query).first()
        return None if row is None else (Deployed(row[0], row[1], row[2]), row[3])


def prune_within(connection: sa.Connection, live_keys: frozenset[str]) -> None:
    """Forgets the credentials of deployments that are no more."""
    connection.execute(sa.delete(_C).where(_C.c.deployment_key.not_in(live_keys)))
