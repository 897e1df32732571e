"""Secrets of service principals. Written by the API; read when one asks for a token, never on a request's path."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from headgate import errors
from headgate.store.database import Database
from headgate.store.oauth.signing_keys import TOPIC
from headgate.store.oauth_tables import client_secrets

_S = client_secrets


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A secret without its value. Times are milliseconds since the epoch."""

    id: str
    principal_id: str
    digest: str
    """Keyed hash of the value."""
    created_at_ms: int
    expires_at_ms: int


class ClientSecrets:
    """Repository. Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, secret: ClientSecret, most: int) -> None:
        """A new secret; expired ones of the same principal go. Raises InvalidState when there are `most` already."""
        mine = _S.c.principal_id == secret.principal_id
        # Raising the topic's revision makes rival writers wait, so that none counts too few.
        with self._database.write(TOPIC) as connection:
            connection.execute(sa.delete(_S).where(mine, _S.c.expires_at <= secret.created_at_ms))
            count = connection.execute(sa.select(sa.func.count()).select_from(_S).where(mine)).scalar() or 0
            if count >= most:
                raise errors.InvalidState(
                    f"The service principal has {count} secrets already, which is the most it may have. Delete one first."
                )
            connection.execute(
                sa.insert(_S).values(
                    id=secret.id,
                    principal_id=secret.principal_id,
                    digest=secret.digest,
                    created_at=secret.created_at_ms,
                    expires_at=secret.expires_at_ms,
                )
            )

    def of(self, principal_id: str) -> list[ClientSecret]:
        """Oldest first."""
        query = sa.select(_S).where(_S.c.principal_id == principal_id).order_by(_S.c.created_at, _S.c.id)
        with self._database.read() as connection:
            return [
                ClientSecret(row.id, row.principal_id, row.digest, row.created_at, row.expires_at)
                for row in connection.execute(query)
            ]

    def delete(self, principal_id: str, secret_id: str) -> None:
        """It is good for nothing any more. Raises ResourceDoesNotExist."""
        with self._database.write() as connection:
            gone = connection.execute(sa.delete(_S).where(_S.c.principal_id == principal_id, _S.c.id == secret_id))
            if not gone.rowcount:
                raise errors.ResourceDoesNotExist(
                    f"Service principal {principal_id} has no secret with id {secret_id}."
                )
