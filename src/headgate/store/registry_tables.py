"""Tables of the model registry, on the same metadata as `tables`. Pure data. Timestamps are milliseconds since the epoch."""

from __future__ import annotations

import sqlalchemy as sa

from headgate.store.tables import metadata

namespaces = sa.Table(
    "namespaces",
    metadata,
    # A catalog's name, or catalog.schema; in lower case.
    sa.Column("full_name", sa.String(511), primary_key=True),
    sa.Column("id", sa.String(32), nullable=False, unique=True),
    sa.Column("kind", sa.String(16), nullable=False),
    # Of a catalog: its own name.
    sa.Column("catalog", sa.String(255), nullable=False, index=True),
    sa.Column("owner_id", sa.String(32), nullable=False),
    sa.Column("creator", sa.String(256), nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
    sa.Column("updated_by", sa.String(256), nullable=False),
    sa.Column("comment", sa.Text, nullable=False),
    sa.Column("properties", sa.JSON, nullable=False),
    sa.Column("tags", sa.JSON, nullable=False),
    comment="Catalogs and schemas.",
)

registered_models = sa.Table(
    "registered_models",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    # catalog.schema.model, each level at most 255 bytes, in lower case.
    sa.Column("full_name", sa.String(767), nullable=False, unique=True),
    sa.Column("catalog", sa.String(255), nullable=False),
    sa.Column("schema", sa.String(255), nullable=False),
    sa.Column("creator", sa.String(256), nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
    sa.Column("description", sa.Text, nullable=False, default=""),
    sa.Column("tags", sa.JSON, nullable=False),
    # {alias: version}
    sa.Column("aliases", sa.JSON, nullable=False),
    sa.Column("owner_id", sa.String(32), nullable=False),
    sa.Column("updated_by", sa.String(256), nullable=False),
)

model_versions = sa.Table(
    "model_versions",
    metadata,
    sa.Column("model_id", sa.ForeignKey("registered_models.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("status", sa.String(32), nullable=False),
    sa.Column("status_message", sa.Text, nullable=False, default=""),
    sa.Column("creator", sa.String(256), nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("run_id", sa.String(256), nullable=False, index=True),
    sa.Column("run_tracking_server_id", sa.String(256), nullable=False),
    sa.Column("logged_model_id", sa.String(256), nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("tags", sa.JSON, nullable=False),
    sa.Column("upload_id", sa.String(32), nullable=False, unique=True),
    sa.Column("location", sa.String(1024), nullable=False),
    sa.Column("creator_id", sa.String(32), nullable=False),
    sa.Column("updated_by", sa.String(256), nullable=False),
    # What the client said the model uses, in Unity Catalog's form: [{"function": {"function_full_name": …}}, …]
    sa.Column("dependencies", sa.JSON, nullable=False),
)

version_numbers = sa.Table(
    "version_numbers",
    metadata,
    sa.Column("full_name", sa.String(767), primary_key=True),
    sa.Column("last", sa.Integer, nullable=False),
    comment="Highest version number ever given out under a name; survives the model, so that no number is used twice.",
)

deleted_files = sa.Table(
    "deleted_files",
    metadata,
    sa.Column("location", sa.String(1024), primary_key=True),
    comment="Files of deleted versions, written with the deletion and struck out once they are gone from the storage.",
)
