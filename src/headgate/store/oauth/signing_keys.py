"""Signing keys and revoked tokens: what every server must know to verify a token by itself. Servers follow topic `oauth`.

Writers are one after another: each begins by raising the topic's revision, one row that the others wait for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from headgate.store.database import Database, revision_within
from headgate.store.oauth_tables import revoked_tokens, signing_keys

TOPIC = "oauth"

_K = signing_keys
_R = revoked_tokens


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key as it is stored. Times are milliseconds since the epoch."""

    id: str
    public_key: str
    """PEM."""
    sealed_private_key: str
    created_at_ms: int
    signs_from_ms: int
    """Until then it verifies only."""
    expires_at_ms: int | None = None
    """When no token it signed can be valid any more; None for the newest."""


@dataclass(frozen=True, slots=True)
class StoredTrust:
    """All of it, read at once."""

    revision: int = -1
    keys: tuple[StoredKey, ...] = ()
    """Oldest first."""
    revoked: frozenset[str] = frozenset()
    """Ids of tokens that are refused although they have not expired."""


class SigningKeys:
    """Repository. Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def revision(self) -> int:
        """How often anything of it was written."""
        return self._database.revision(TOPIC)

    def read(self) -> StoredTrust:
        """As it stands. The revision is read first: a change while reading makes the reader read again."""
        with self._database.read() as connection:
            revision = revision_within(connection, TOPIC)
            revoked = frozenset(connection.execute(sa.select(_R.c.id)).scalars())
            return StoredTrust(revision, _all(connection), revoked)

    def replace(self, change: Callable[[tuple[StoredKey, ...]], tuple[StoredKey, ...]], *topics: str) -> None:
        """Puts the keys that `change` makes of those there are in their place. It is called within the transaction."""
        with self._database.write(TOPIC, *topics) as connection:
            before = _all(connection)
            after = change(before)
            for key in set(before) - set(after):
                connection.execute(sa.delete(_K).where(_K.c.id == key.id))
            for key in sorted(set(after) - set(before), key=lambda one: one.id):
                connection.execute(sa.insert(_K).values(_values(key)))

    def revoke(self, token_id: str, expires_at_ms: int, now_ms: int) -> None:
        """That token is refused from now on. Those that have expired meanwhile are forgotten."""
        with self._database.write(TOPIC) as connection:
            connection.execute(sa.delete(_R).where(sa.or_(_R.c.expires_at <= now_ms, _R.c.id == token_id)))
            connection.execute(sa.insert(_R).values(id=token_id, expires_at=expires_at_ms))


def _all(connection: sa.Connection) -> tuple[StoredKey, ...]:
    rows = connection.execute(sa.select(_K).order_by(_K.c.signs_from, _K.c.id))
    return tuple(
        StoredKey(row.id, row.public_key, row.sealed_private_key, row.created_at, row.signs_from, row.expires_at)
        for row in rows
    )


def _values(key: StoredKey) -> dict[str, object]:
    return {
        "id": key.id,
        "public_key": key.public_key,
        "sealed_private_key": key.sealed_private_key,
        "created_at": key.created_at_ms,
        "signs_from": key.signs_from_ms,
        "expires_at": key.expires_at_ms,
    }
