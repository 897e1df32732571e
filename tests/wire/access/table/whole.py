"""The whole table."""

from __future__ import annotations

from tests.wire.access.table import (
    endpoints,
    identity,
    oauth,
    permissions,
    registry,
    secrets,
    sql,
    tracking,
    unity_catalog,
    workspace,
)
from tests.wire.access.table.rows import Row, Section

SECTIONS: tuple[Section, ...] = (
    endpoints.QUERY,
    workspace.SECTION,
    endpoints.CONTROL,
    permissions.SECTION,
    secrets.SECTION,
    sql.SECTION,
    unity_catalog.NAMESPACES,
    unity_catalog.MODELS,
    unity_catalog.TAGS_AND_GRANTS,
    registry.REGISTRY,
    registry.FILES,
    tracking.PROXY,
    tracking.ARTIFACTS,
    identity.PEOPLE,
    identity.OF_TOKENS,
    oauth.SECTION,
    oauth.ADMINISTRATION,
)


def rows() -> list[Row]:
    return [row for section in SECTIONS for row in section.rows]
