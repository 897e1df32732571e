"""Who owns catalogs, schemas and models, and what was granted on them to one caller. Read by `access.model_rights`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from headgate.domain.grants import CATALOG, MODEL, SCHEMA, Securable
from headgate.domain.model_privileges import Level
from headgate.store import grant_tables, registry_tables
from headgate.store.database import Database

_G = grant_tables.grants
_M = registry_tables.registered_models
_S = registry_tables.namespaces

Granted = Mapping[Securable, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Holdings:
    """All that a caller has, and whose catalogs and schemas are."""

    owners: Mapping[str, str]
    """Full name of a catalog or schema -> id of its owner."""
    granted: Granted


class ModelAccess:
    """Reads; every method is one transaction, whose steps depend on what is asked, not on what is there."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def levels(self, path: Sequence[Securable], keys: Iterable[str], *, others: bool = True) -> list[Level]:
        """Owner of each, and what any of `keys` was granted on it.

        Without `others`, owners that are none of `keys` are left out: what the caller has nothing on is as if it were not there.
        """
        names = [securable.id for securable in path]
        of_schemas, of_models = (
            sa.and_(table.c.full_name.in_(names), sa.true() if others else table.c.owner_id.in_(sorted(keys)))
            for table in (_S, _M)
        )
        with self._database.read() as connection:
            owners = _owners(connection, of_schemas)
            models = connection.execute(sa.select(_M.c.full_name, _M.c.owner_id).where(of_models))
            owners |= {row.full_name: row.owner_id for row in models}
            granted = _granted(connection, keys, sa.and_(_ours(path), _G.c.securable_id.in_(names)))
        return [Level(one, owners.get(one.id), granted.get(one, frozenset())) for one in path]

    def holdings(self, keys: Iterable[str]) -> Holdings:
        """Everything, to judge a whole list by."""
        ours = _G.c.kind.in_((CATALOG, SCHEMA, MODEL))
        with self._database.read() as connection:
            return Holdings(_owners(connection, sa.true()), _granted(connection, keys, ours))


def _ours(path: Sequence[Securable]) -> sa.ColumnElement[bool]:
    return _G.c.kind.in_(sorted({securable.kind for securable in path}))


def _owners(connection: sa.Connection, which: sa.ColumnElement[bool]) -> dict[str, str]:
    rows = connection.execute(sa.select(_S.c.full_name, _S.c.owner_id).where(which))
    return {row.full_name: row.owner_id for row in rows}


def _granted(connection: sa.Connection, keys: Iterable[str], which: sa.ColumnElement[bool]) -> Granted:
    query = sa.select(_G.c.kind, _G.c.securable_id, _G.c.privilege).where(_G.c.grantee_id.in_(sorted(keys)), which)
    found: dict[Securable, set[str]] = {}
    for kind, name, privilege in connection.execute(query):
        found.setdefault(Securable(kind, name), set()).add(privilege)
    return {securable: frozenset(privileges) for securable, privileges in found.items()}
