"""The table of grants, on the same metadata as `tables`. Pure data."""

from __future__ import annotations

import sqlalchemy as sa

from headgate.store.tables import metadata

grants = sa.Table(
    "grants",
    metadata,
    sa.Column("kind", sa.String(32), primary_key=True),
    sa.Column("securable_id", sa.String(767), primary_key=True),
    sa.Column("grantee_id", sa.String(32), primary_key=True, index=True),
    sa.Column("privilege", sa.String(64), primary_key=True),
    comment="Who may do what with what; see domain.grants.",
)
