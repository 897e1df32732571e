"""The table of shared rate-limit counters, on the same metadata as `tables`. Pure data. Timestamps are milliseconds since the epoch."""

from __future__ import annotations

import sqlalchemy as sa

from headgate.store.tables import metadata

quotas = sa.Table(
    "quotas",
    metadata,
    sa.Column("name", sa.String(256), primary_key=True),
    sa.Column("book", sa.LargeBinary, nullable=False),
    sa.Column("kept_until", sa.BigInteger, nullable=False, index=True),
    comment="Of each rate-limit counter in use: what was used lately, and what is leased to which server.",
)
