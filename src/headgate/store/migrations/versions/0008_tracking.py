"""Credentials of served models for tracking."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tracking_credentials",
        sa.Column("deployment_key", sa.String(length=16), nullable=False),
        sa.Column("endpoint_id", sa.String(length=32), nullable=False),
        sa.Column("experiment_id", sa.String(length=64), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["endpoint_id"],
            ["endpoints.id"],
            name=op.f("fk_tracking_credentials_endpoint_id_endpoints"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("deployment_key", name=op.f("pk_tracking_credentials")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_tracking_credentials_token_hash")),
        comment="What a deployment's replicas show to write traces into their experiment.",
    )
    op.create_index(op.f("ix_tracking_credentials_endpoint_id"), "tracking_credentials", ["endpoint_id"])
