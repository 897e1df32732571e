"""Shared rate-limit counters."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "quotas",
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("book", sa.LargeBinary(), nullable=False),
        sa.Column("kept_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_quotas")),
        comment="Of each rate-limit counter in use: what was used lately, and what is leased to which server.",
    )
    op.create_index(op.f("ix_quotas_kept_until"), "quotas", ["kept_until"])
