"""Tables about what requests leave behind, on the same metadata as `tables`. Pure data. Timestamps are milliseconds since the epoch."""

from __future__ import annotations

import sqlalchemy as sa

from headgate.store.tables import metadata

inference_tables = sa.Table(
    "inference_tables",
    metadata,
    # catalog.schema.table, in lower case.
    sa.Column("full_name", sa.String(767), primary_key=True),
    # catalog.schema.
    sa.Column("schema_name", sa.String(511), nullable=False, index=True),
    # Of the schema as it was then: another of the same name says nothing about this table. Empty: there was none.
    sa.Column("schema_id", sa.String(32), nullable=False),
    # Also of an endpoint that is gone.
    sa.Column("endpoint_id", sa.String(32), nullable=False, index=True),
    sa.Column("form", sa.String(16), nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    comment="Whose requests each inference table holds; it outlives the endpoint, as the table does.",
)

past_endpoints = sa.Table(
    "past_endpoints",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("deleted_at", sa.BigInteger, nullable=False, index=True),
    sa.Column("served_entities", sa.JSON, nullable=False),
    comment="What deleted endpoints served, for system.serving.served_entities.",
)
