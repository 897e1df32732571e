"""Who owns inference tables; what deleted endpoints served."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    grants = sa.table("grants", *(sa.column(name) for name in ("kind", "securable_id", "grantee_id", "privilege")))
    # As with models: everybody may begin there, and an administrator may change it.
    everybody = {"grantee_id": "3", "privilege": "CREATE_TABLE"}
    op.bulk_insert(grants, [{"kind": "schema", "securable_id": "main.default", **everybody}])
    op.create_table(
        "inference_tables",
        sa.Column("full_name", sa.String(length=767), nullable=False),
        sa.Column("schema_name", sa.String(length=511), nullable=False),
        sa.Column("schema_id", sa.String(length=32), nullable=False),
        sa.Column("endpoint_id", sa.String(length=32), nullable=False),
        sa.Column("form", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("full_name", name=op.f("pk_inference_tables")),
        comment="Whose requests each inference table holds; it outlives the endpoint, as the table does.",
    )
    op.create_index(op.f("ix_inference_tables_schema_name"), "inference_tables", ["schema_name"])
    op.create_index(op.f("ix_inference_tables_endpoint_id"), "inference_tables", ["endpoint_id"])
    op.create_table(
        "past_endpoints",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=False),
        sa.Column("served_entities", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_past_endpoints")),
        comment="What deleted endpoints served, for system.serving.served_entities.",
    )
    op.create_index(op.f("ix_past_endpoints_deleted_at"), "past_endpoints", ["deleted_at"])
