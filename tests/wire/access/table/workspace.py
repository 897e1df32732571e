"""The server itself: is it well, what does it offer, who is asking."""

from __future__ import annotations

from tests.wire.access.table.rows import ADMINS, ANYBODY, OPEN, Row, Section

SECTION = Section(
    "Operation and workspace",
    "Nothing here is about one object.",
    (
        Row("GET", "/health", OPEN),
        Row("GET", "/metrics", ADMINS),
        Row("GET", "/.well-known/databricks-config", OPEN),
        Row("GET", "/api/2.0/openapi.json", ANYBODY),
    ),
)
