"""Principals, groups, access tokens."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "identities",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("folded_name", sa.String(length=768), nullable=False),
        sa.Column("display_name", sa.String(length=256), nullable=False),
        sa.Column("given_name", sa.String(length=256), nullable=False),
        sa.Column("family_name", sa.String(length=256), nullable=False),
        sa.Column("external_id", sa.String(length=256), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("entitlements", sa.JSON(), nullable=False),
        sa.Column("roles", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identities")),
        sa.UniqueConstraint("kind", "folded_name", name=op.f("uq_identities_kind_folded_name")),
        comment="Users, service principals (name: application id) and groups; see domain.identity.",
    )
    op.create_table(
        "memberships",
        sa.Column("group_id", sa.String(length=32), nullable=False),
        sa.Column("member_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id"], ["identities.id"], name=op.f("fk_memberships_group_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["member_id"], ["identities.id"], name=op.f("fk_memberships_member_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("group_id", "member_id", name=op.f("pk_memberships")),
        comment="Who is directly in which group. Nobody is in `users` here: that is everybody.",
    )
    op.create_index(op.f("ix_memberships_member_id"), "memberships", ["member_id"])
    op.create_table(
        "access_tokens",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("principal_id", sa.String(length=32), nullable=False),
        sa.Column("created_by_id", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["principal_id"], ["identities.id"], name=op.f("fk_access_tokens_principal_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_tokens")),
        sa.UniqueConstraint("digest", name=op.f("uq_access_tokens_digest")),
        comment="Personal access tokens: a keyed hash of each, never its value.",
    )
    op.create_index(op.f("ix_access_tokens_principal_id"), "access_tokens", ["principal_id"])
    op.add_column("servers", sa.Column("identity_revision", sa.BigInteger(), nullable=True))
    # The administrator's token is a row of access_tokens now, written at every start.
    op.execute("DELETE FROM facts WHERE name = 'admin_token_hash'")
