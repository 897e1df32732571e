"""All tables: what each column means. Timestamps are milliseconds since the epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from headgate.domain.endpoint import sealed_for

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def resealed(row: Mapping[str, Any], config: Mapping[str, Any], reseal: Callable[[str, str], str]) -> dict[str, Any]:
    """The config of a generation with its external models' secrets sealed anew, see `sealed_columns`."""
    entities = [dict(entity) for entity in config["served_entities"]]
    for entity in entities:
        model = entity.get("external_model")
        if model:
            place = sealed_for(row["endpoint_id"], entity["name"])
            sealed = {field: reseal(text, f"{place}:{field}") for field, text in model["sealed"].items()}
            entity["external_model"] = {**model, "sealed": sealed}
    return {**config, "served_entities": entities}


facts = sa.Table(
    "facts",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", sa.Text, nullable=False, info={"sealed": "fact:{name}"}),
    comment="Single values of this installation: workspace_id, token_hash_key, url_signing_key.",
)

revisions = sa.Table(
    "revisions",
    metadata,
    sa.Column("topic", sa.String(64), primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("holder", sa.String(128), nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
)

endpoints = sa.Table(
    "endpoints",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    # NULL once deleted, so that the name is free at once while control still cleans up.
    sa.Column("name", sa.String(63), unique=True),
    sa.Column("deleted_name", sa.String(63)),
    sa.Column("creator", sa.String(256), nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
    sa.Column("wanted_generation", sa.Integer),
    sa.Column("serving_generation", sa.Integer),
    sa.Column("stopped", sa.Boolean, nullable=False, default=False),
    sa.Column("deleted_at", sa.BigInteger),
    sa.Column("description", sa.Text, nullable=False, default=""),
    sa.Column("tags", sa.JSON, nullable=False),
    sa.Column("email_notifications", sa.JSON),
    sa.Column("telemetry_config", sa.JSON),
    sa.Column("route_optimized", sa.Boolean, nullable=False, default=False),
    sa.Column("budget_policy_id", sa.String(64)),
    sa.Column("ai_gateway", sa.JSON(none_as_null=True)),
    # Of the deprecated API.
    sa.Column("rate_limits", sa.JSON(none_as_null=True)),
)

generations = sa.Table(
    "generations",
    metadata,
    sa.Column("endpoint_id", sa.ForeignKey("endpoints.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("config", sa.JSON, nullable=False, info={"sealed_within": resealed}),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("message", sa.Text, nullable=False, default=""),
    sa.Column("entity_messages", sa.JSON, nullable=False),
    sa.Column("locks", sa.JSON, nullable=False),
    # Of the routing table that first served it; 0 until then.
    sa.Column("revision", sa.BigInteger, nullable=False, default=0),
)

replicas = sa.Table(
    "replicas",
    metadata,
    sa.Column("id", sa.String(48), primary_key=True),
    sa.Column("endpoint_id", sa.ForeignKey("endpoints.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("deployment_key", sa.String(16), nullable=False),
    sa.Column("entity_name", sa.String(128), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("address", sa.String(256), nullable=False, default=""),
    sa.Column("slots", sa.Integer, nullable=False, default=1),
    sa.Column("ready_at", sa.BigInteger, nullable=False, default=0),
    sa.Column("ended_at", sa.BigInteger, nullable=False, default=0),
    sa.Column("message", sa.Text, nullable=False, default=""),
    sa.Column("how", sa.String(256), nullable=False, default=""),
    sa.Column("log_path", sa.String(1024), nullable=False, default=""),
)

demands = sa.Table(
    "demands",
    metadata,
    sa.Column("deployment_key", sa.String(16), primary_key=True),
    sa.Column("endpoint_id", sa.String(32), nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    comment="A request waits for this sleeping deployment; the newest time only.",
)

loads = sa.Table(
    "loads",
    metadata,
    sa.Column("server_id", sa.String(64), primary_key=True),
    sa.Column("deployment_key", sa.String(16), primary_key=True),
    sa.Column("in_flight", sa.Integer, nullable=False),
    sa.Column("queued", sa.Integer, nullable=False),
    sa.Column("last_request_at", sa.BigInteger, nullable=False),
    sa.Column("reported_at", sa.BigInteger, nullable=False),
)

servers = sa.Table(
    "servers",
    metadata,
    sa.Column("server_id", sa.String(64), primary_key=True),
    sa.Column("routing_revision", sa.BigInteger, nullable=False),
    sa.Column("seen_at", sa.BigInteger, nullable=False),
    # Of the directory it uses; NULL until it has said so.
    sa.Column("identity_revision", sa.BigInteger),
    comment="Which routing table each server process uses, and when it last asked whether there is a newer one.",
)
