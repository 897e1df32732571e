"""What an endpoint asks of the gateway."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("endpoints", sa.Column("ai_gateway", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("endpoints", sa.Column("rate_limits", sa.JSON(none_as_null=True), nullable=True))
