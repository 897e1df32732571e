"""The audit log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_events",
        sa.Column("event_id", sa.String(length=32), nullable=False),
        sa.Column("event_time", sa.BigInteger(), nullable=False),
        sa.Column("principal_id", sa.String(length=32), nullable=False),
        sa.Column("principal_name", sa.String(length=256), nullable=False),
        sa.Column("credential", sa.String(length=16), nullable=False),
        sa.Column("source_ip_address", sa.String(length=64), nullable=False),
        sa.Column("user_agent", sa.String(length=256), nullable=False),
        sa.Column("service_name", sa.String(length=64), nullable=False),
        sa.Column("action_name", sa.String(length=128), nullable=False),
        sa.Column("method", sa.String(length=16), nullable=False),
        sa.Column("path", sa.String(length=512), nullable=False),
        sa.Column("object", sa.String(length=767), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("status_code", sa.Integer(), nullable=False),
        sa.Column("error_code", sa.String(length=64), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_audit_events")),
        comment="Every change of the control plane and every refused access.",
    )
    op.create_index(op.f("ix_audit_events_event_time"), "audit_events", ["event_time"])
    op.create_index(op.f("ix_audit_events_principal_id"), "audit_events", ["principal_id"])
