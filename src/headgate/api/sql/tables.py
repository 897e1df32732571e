"""`/api/2.1/unity-catalog/tables`: the inference and usage tables that the caller may read, as Unity Catalog's `TableInfo`."""

from __future__ import annotations

import uuid
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from headgate import errors
from headgate.access.table_rights import TableRights
from headgate.api.dependencies import Caller
from headgate.api.sql.statements import visible
from headgate.warehouse.tables.places import TableName

PREFIX = "/api/2.1/unity-catalog/tables"


def routes(rights: TableRights) -> APIRouter:
    """The family."""
    family = Tables(rights)
    router = APIRouter(prefix=PREFIX, tags=["Unity Catalog"])
    router.get("")(family.list_tables)
    router.get("/{full_name}")(family.get_table)
    router.get("/{full_name}/exists")(family.table_exists)
    return router


class Tables:
    """The handlers."""

    def __init__(self, rights: TableRights) -> None:
        self._rights = rights

    def list_tables(self, caller: Caller, catalog_name: str = "", schema_name: str = "") -> JSONResponse:
        """Tables of a schema, all on one page."""
        if not catalog_name or not schema_name:
            raise errors.InvalidParameterValue("Give catalog_name and schema_name.")
        place = catalog_name.lower(), schema_name.lower()
        found = [name for name in visible(caller, self._rights).every() if (name.catalog, name.schema) == place]
        return JSONResponse({"tables": [_told(name) for name in sorted(found)]})

    def get_table(self, full_name: str, caller: Caller) -> JSONResponse:
        """One table. Its columns are told by `DESCRIBE TABLE`."""
        name = self._found(full_name, caller)
        if name is None:
            raise errors.Hidden(f"Table '{full_name}' does not exist.")
        return JSONResponse(_told(name))

    def table_exists(self, full_name: str, caller: Caller) -> JSONResponse:
        """Whether there is such a table that the caller may read."""
        return JSONResponse({"table_exists": self._found(full_name, caller) is not None})

    def _found(self, full_name: str, caller: Caller) -> TableName | None:
        parts = full_name.lower().split(".")
        name = TableName(*parts) if len(parts) == 3 else None
        return name if name is not None and visible(caller, self._rights).find(name) else None


def _told(name: TableName) -> dict[str, Any]:
    return {
        "name": name.table,
        "catalog_name": name.catalog,
        "schema_name": name.schema,
        "full_name": str(name),
        "table_type": "MANAGED",
        "data_source_format": "DELTA",
        "securable_type": "TABLE",
        "securable_kind": "TABLE_DELTA",
        "table_id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"table {name}")),
    }
