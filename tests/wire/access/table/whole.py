"""The whole table."""

from __future__ import annotations

from tests.wire.access.table import endpoints, registry, secrets, workspace
from tests.wire.access.table.rows import Row, Section

SECTIONS: tuple[Section, ...] = (
    endpoints.QUERY,
    workspace.SECTION,
    endpoints.CONTROL,
    secrets.SECTION,
    registry.REGISTRY,
    registry.FILES,
)


def rows() -> list[Row]:
    return [row for section in SECTIONS for row in section.rows]
