"""The table of tracing credentials, on the same metadata as `tables`. Pure data. Timestamps are milliseconds since the epoch."""

from __future__ import annotations

import sqlalchemy as sa

from headgate.store.tables import metadata

tracking_credentials = sa.Table(
    "tracking_credentials",
    metadata,
    sa.Column("deployment_key", sa.String(16), primary_key=True),
    sa.Column("endpoint_id", sa.ForeignKey("endpoints.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("experiment_id", sa.String(64), nullable=False),
    sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
    sa.Column("sealed", sa.Text, nullable=False, info={"sealed": "tracking:{deployment_key}"}),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    comment="What a deployment's replicas show to write traces into their experiment.",
)
