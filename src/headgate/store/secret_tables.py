"""Tables of secret scopes and secrets, on the same metadata as `tables`. Pure data. Timestamps are milliseconds since the epoch."""

from __future__ import annotations

import sqlalchemy as sa

from headgate.store.tables import metadata

secret_scopes = sa.Table(
    "secret_scopes",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("name", sa.String(128), nullable=False),
    sa.Column("folded_name", sa.String(128), nullable=False, unique=True),
    sa.Column("created_at", sa.BigInteger, nullable=False),
)

secrets = sa.Table(
    "secrets",
    metadata,
    sa.Column("scope_id", sa.ForeignKey("secret_scopes.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("key", sa.String(128), primary_key=True),
    sa.Column("sealed", sa.Text, nullable=False, info={"sealed": "secret:{scope_id}:{key}"}),
    # Another one after every write, so that a redeployment notices.
    sa.Column("version", sa.String(16), nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
)
