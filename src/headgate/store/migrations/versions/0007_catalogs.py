"""Catalogs and schemas; who owns and who changed models; aliases that endpoints follow."""

from __future__ import annotations

import time
import uuid

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

ADMINISTRATOR = "1"
EVERYBODY = "3"
# What everybody may do in the beginning; an administrator may change it, and it is not restored.
GRANTED = (
    ("catalog", "main", ("USE_CATALOG", "CREATE_SCHEMA")),
    ("schema", "main.default", ("USE_SCHEMA", "CREATE_MODEL")),
)


def upgrade() -> None:
    _make_tables()
    names = {"main", "main.default"}
    for catalog, schema in op.get_bind().execute(sa.text('SELECT DISTINCT catalog, "schema" FROM registered_models')):
        names |= {catalog, f"{catalog}.{schema}"}
    now_ms = int(time.time() * 1000)
    namespaces = sa.table(
        "namespaces",
        *(sa.column(name) for name in ("full_name", "id", "kind", "catalog", "owner_id", "creator", "updated_by")),
        *(sa.column(name) for name in ("created_at", "updated_at", "comment")),
        *(sa.column(name, sa.JSON) for name in ("properties", "tags")),
    )
    rows: list[dict[str, object]] = [
        {
            "full_name": name,
            "id": uuid.uuid4().hex,
            "kind": "schema" if "." in name else "catalog",
            "catalog": name.partition(".")[0],
            "owner_id": ADMINISTRATOR,
            "creator": "System user",
            "updated_by": "System user",
            "created_at": now_ms,
            "updated_at": now_ms,
            "comment": "",
            "properties": {},
            "tags": {},
        }
        for name in sorted(names)
    ]
    op.bulk_insert(namespaces, rows)
    grants = sa.table("grants", *(sa.column(name) for name in ("kind", "securable_id", "grantee_id", "privilege")))
    granted = [
        {"kind": kind, "securable_id": name, "grantee_id": EVERYBODY, "privilege": privilege}
        for kind, name, privileges in GRANTED
        for privilege in privileges
    ]
    op.bulk_insert(grants, granted)


def _make_tables() -> None:
    op.create_table(
        "namespaces",
        sa.Column("full_name", sa.String(length=511), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("catalog", sa.String(length=255), nullable=False),
        sa.Column("owner_id", sa.String(length=32), nullable=False),
        sa.Column("creator", sa.String(length=256), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_by", sa.String(length=256), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("properties", sa.JSON(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("full_name", name=op.f("pk_namespaces")),
        sa.UniqueConstraint("id", name=op.f("uq_namespaces_id")),
        comment="Catalogs and schemas.",
    )
    op.create_index(op.f("ix_namespaces_catalog"), "namespaces", ["catalog"])
    # Models there are belong to the administrator, the only one there was.
    owner = sa.Column("owner_id", sa.String(length=32), nullable=False, server_default=ADMINISTRATOR)
    op.add_column("registered_models", owner)
    op.add_column("registered_models", _text("updated_by"))
    creator = sa.Column("creator_id", sa.String(length=32), nullable=False, server_default=ADMINISTRATOR)
    op.add_column("model_versions", creator)
    op.add_column("model_versions", _text("updated_by"))
    op.add_column("model_versions", sa.Column("dependencies", sa.JSON(), nullable=False, server_default="[]"))


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=256), nullable=False, server_default="")
