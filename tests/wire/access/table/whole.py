"""The whole table."""

from __future__ import annotations

from tests.wire.access.table import endpoints, identity, permissions, registry, secrets, tracking, workspace
from tests.wire.access.table.rows import Row, Section

SECTIONS: tuple[Section, ...] = (
    endpoints.QUERY,
    workspace.SECTION,
    endpoints.CONTROL,
    permissions.SECTION,
    secrets.SECTION,
    registry.REGISTRY,
    registry.FILES,
    tracking.PROXY,
    tracking.ARTIFACTS,
    identity.PEOPLE,
    identity.OF_TOKENS,
)


def rows() -> list[Row]:
    return [row for section in SECTIONS for row in section.rows]
