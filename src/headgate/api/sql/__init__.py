"""`/api/2.0/sql`: statements over inference and usage tables, the one warehouse that runs them; and lists of these tables."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter

from headgate.access.table_rights import TableRights
from headgate.api.sql import statements, tables, warehouses
from headgate.warehouse.sql.statements import Statements


def routes(running: Statements, rights: TableRights) -> Sequence[APIRouter]:
    """The families."""
    return statements.routes(running, rights), warehouses.routes(), tables.routes(rights)
