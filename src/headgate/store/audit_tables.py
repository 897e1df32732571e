"""The table of the audit log, on the same metadata as `tables`. Pure data."""

from __future__ import annotations

import sqlalchemy as sa

from headgate.store.tables import metadata

audit_events = sa.Table(
    "audit_events",
    metadata,
    sa.Column("event_id", sa.String(32), primary_key=True),
    sa.Column("event_time", sa.BigInteger, nullable=False, index=True),
    # Of who called; empty when nobody knows.
    sa.Column("principal_id", sa.String(32), nullable=False, default="", index=True),
    sa.Column("principal_name", sa.String(256), nullable=False, default=""),
    sa.Column("credential", sa.String(16), nullable=False, default=""),
    sa.Column("source_ip_address", sa.String(64), nullable=False, default=""),
    sa.Column("user_agent", sa.String(256), nullable=False, default=""),
    sa.Column("service_name", sa.String(64), nullable=False, default=""),
    sa.Column("action_name", sa.String(128), nullable=False, default=""),
    sa.Column("method", sa.String(16), nullable=False),
    # The route's template; what was asked for when no route was found. Never a query or a body.
    sa.Column("path", sa.String(512), nullable=False),
    sa.Column("object", sa.String(767), nullable=False, default=""),
    sa.Column("request_id", sa.String(64), nullable=False, default=""),
    # BEGUN, DONE, REFUSED or FAILED.
    sa.Column("outcome", sa.String(16), nullable=False),
    # 0 as long as it is BEGUN.
    sa.Column("status_code", sa.Integer, nullable=False, default=0),
    sa.Column("error_code", sa.String(64), nullable=False, default=""),
    # So many alike within moments, in one row.
    sa.Column("count", sa.Integer, nullable=False, default=1),
    comment="Every change of the control plane and every refused access.",
)
