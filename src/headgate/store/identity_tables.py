"""Tables of principals, groups and access tokens, on the same metadata as `tables`. Pure data. Timestamps are milliseconds since the epoch."""

from __future__ import annotations

import sqlalchemy as sa

from headgate.store.tables import metadata

identities = sa.Table(
    "identities",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("name", sa.String(256), nullable=False),
    # Case folded, which may make it longer.
    sa.Column("folded_name", sa.String(768), nullable=False),
    sa.Column("display_name", sa.String(256), nullable=False, default=""),
    sa.Column("given_name", sa.String(256), nullable=False, default=""),
    sa.Column("family_name", sa.String(256), nullable=False, default=""),
    sa.Column("external_id", sa.String(256), nullable=False, default=""),
    sa.Column("active", sa.Boolean, nullable=False, default=True),
    sa.Column("entitlements", sa.JSON, nullable=False),
    sa.Column("roles", sa.JSON, nullable=False),
    sa.UniqueConstraint("kind", "folded_name"),
    comment="Users, service principals (name: application id) and groups; see domain.identity.",
)

memberships = sa.Table(
    "memberships",
    metadata,
    sa.Column("group_id", sa.ForeignKey("identities.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("member_id", sa.ForeignKey("identities.id", ondelete="CASCADE"), primary_key=True, index=True),
    comment="Who is directly in which group. Nobody is in `users` here: that is everybody.",
)

access_tokens = sa.Table(
    "access_tokens",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("principal_id", sa.ForeignKey("identities.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("created_by_id", sa.String(32), nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("comment", sa.Text, nullable=False, default=""),
    sa.Column("expires_at", sa.BigInteger),
    sa.Column("last_used_at", sa.BigInteger),
    comment="Personal access tokens: a keyed hash of each, never its value.",
)
