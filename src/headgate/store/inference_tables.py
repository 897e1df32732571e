"""Whose requests each inference table holds. Claimed in the transaction that configures it; read by `access.table_rights`.

A claim stays when the endpoint is deleted or keeps its requests elsewhere: the table is still there, and nobody else may write into it, or
read it because they gave an endpoint of theirs its name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from headgate import errors
from headgate.domain import ai_gateway
from headgate.domain.request_record import LEGACY_FORM, InferenceTable
from headgate.store import registry_tables, tables
from headgate.store.database import Database
from headgate.store.record_tables import inference_tables

_T = inference_tables
_E = tables.endpoints
_S = registry_tables.namespaces


@dataclass(frozen=True, slots=True)
class Claim:
    """One inference table."""

    full_name: str
    """`catalog.schema.table`, in lower case."""
    endpoint_id: str
    form: str
    created_at_ms: int
    alive: bool
    """Whether the endpoint is still there."""
    in_schema: bool
    """Whether the schema of that name is the one in which it was made."""
    schema_owner: str
    """Of the schema that has that name now; empty when none has."""

    @property
    def schema_name(self) -> str:
        """`catalog.schema`."""
        return self.full_name.rpartition(".")[0]


def full_name(table: InferenceTable) -> str:
    """Names that differ in case are one."""
    return f"{table.catalog}.{table.schema}.{table.prefix}_payload".lower()


def wanted(
    name: str, gateway: Mapping[str, Any] | None, capture: Mapping[str, Any] | None = None
) -> list[InferenceTable]:
    """The tables that the endpoint of that name is to keep its requests in: by `ai_gateway`, and by `auto_capture_config`."""
    legacy = ai_gateway.captured(capture)
    found = [section.table(name) for section in (ai_gateway.parse(gateway).inference_table, legacy) if section]
    if legacy and found[-1]:
        found[-1] = dataclasses.replace(found[-1], form=LEGACY_FORM)
    return [table for table in found if table is not None]


class InferenceTables:
    """Reads claims. Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, name: str) -> Claim | None:
        """By full name, in lower case."""
        found = self._select(_T.c.full_name == name)
        return found[0] if found else None

    def of_schema(self, schema_name: str) -> list[Claim]:
        """By name."""
        return self._select(_T.c.schema_name == schema_name)

    def all(self) -> list[Claim]:
        """By name."""
        return self._select(sa.true())

    def hand_over(self, name: str, endpoint_id: str) -> bool:
        """A table whose endpoint is gone becomes that of another; False when it is not gone, or there is no such table."""
        alive = sa.exists().where(_E.c.id == _T.c.endpoint_id, _E.c.deleted_at.is_(None))
        with self._database.write() as connection:
            moved = connection.execute(
                sa.update(_T).where(_T.c.full_name == name, ~alive).values(endpoint_id=endpoint_id)
            )
        return bool(moved.rowcount)

    def _select(self, where: sa.ColumnElement[bool]) -> list[Claim]:
        query = (
            sa.select(_T, _E.c.id.label("alive"), _S.c.id.label("now"), _S.c.owner_id)
            .outerjoin(_E, sa.and_(_E.c.id == _T.c.endpoint_id, _E.c.deleted_at.is_(None)))
            .outerjoin(_S, _S.c.full_name == _T.c.schema_name)
            .where(where)
            .order_by(_T.c.full_name)
        )
        with self._database.read() as connection:
            return [
                Claim(
                    row.full_name,
                    row.endpoint_id,
                    row.form,
                    row.created_at,
                    row.alive is not None,
                    row.now is not None and row.now == row.schema_id,
                    row.owner_id or "",
                )
                for row in connection.execute(query)
            ]


def claim_within(connection: sa.Connection, endpoint_id: str, wanted: Iterable[InferenceTable], now_ms: int) -> None:
    """In the transaction that configures them. Raises ResourceAlreadyExists when one belongs to another endpoint."""
    for table in wanted:
        name = full_name(table)
        owner = connection.execute(sa.select(_T.c.endpoint_id).where(_T.c.full_name == name)).scalar()
        if owner == endpoint_id:
            continue
        if owner is not None:
            raise taken(name)
        schema = name.rpartition(".")[0]
        row = {
            "full_name": name,
            "schema_name": schema,
            "schema_id": connection.execute(sa.select(_S.c.id).where(_S.c.full_name == schema)).scalar() or "",
            "endpoint_id": endpoint_id,
            "form": table.form,
            "created_at": now_ms,
        }
        try:
            with connection.begin_nested():
                connection.execute(sa.insert(_T).values(row))
        except sa.exc.IntegrityError as error:
            raise taken(name) from error


def taken(name: str) -> errors.ResourceAlreadyExists:
    """Says nothing of whose it is."""
    return errors.ResourceAlreadyExists(
        f"The table {name} already exists and holds the requests of another endpoint. Choose another table_name_prefix."
    )
