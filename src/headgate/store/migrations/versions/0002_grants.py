"""Grants."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "grants",
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("securable_id", sa.String(length=767), nullable=False),
        sa.Column("grantee_id", sa.String(length=32), nullable=False),
        sa.Column("privilege", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("kind", "securable_id", "grantee_id", "privilege", name=op.f("pk_grants")),
        comment="Who may do what with what; see domain.grants.",
    )
    op.create_index(op.f("ix_grants_grantee_id"), "grants", ["grantee_id"])
