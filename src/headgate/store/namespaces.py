"""Catalogs and schemas. Used by `registry`; the models in them are in `models`."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from headgate import errors
from headgate.domain.model_privileges import TITLES, absent, taken
from headgate.domain.namespace import Namespace, NamespaceChange, namespace_securable
from headgate.domain.registered_model import ModelName, Stamp, TagChanges
from headgate.store import grants, models, namespace_rows, registry_tables, served_models
from headgate.store.database import Database

_S = registry_tables.namespaces
_M = registry_tables.registered_models


class Namespaces:
    """Repository of catalogs and schemas. Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, namespace: Namespace) -> None:
        """Raises ResourceAlreadyExists, ResourceDoesNotExist when a schema's catalog is missing."""
        with self._database.write() as connection:
            if namespace.catalog != namespace.full_name:
                namespace_rows.held_within(connection, namespace.catalog)
            if not namespace_rows.make_within(connection, [namespace]):
                raise taken(namespace.securable)

    def get(self, full_name: str) -> Namespace:
        """Raises ResourceDoesNotExist."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(_S).where(_S.c.full_name == full_name)).one_or_none()
        if row is None:
            raise absent(namespace_securable(full_name))
        return namespace_rows.namespace_of(row)

    def search(self, *, catalog: str = "", after: str = "", limit: int) -> list[Namespace]:
        """Catalogs, or the schemas of one, by name."""
        inside = _S.c.full_name == _S.c.catalog
        if catalog:
            inside = sa.and_(_S.c.catalog == catalog, _S.c.full_name != catalog)
        query = sa.select(_S).where(inside, _S.c.full_name > after).order_by(_S.c.full_name).limit(limit)
        with self._database.read() as connection:
            return [namespace_rows.namespace_of(row) for row in connection.execute(query)]

    def change(self, full_name: str, wanted: NamespaceChange, stamp: Stamp) -> Namespace:
        """A rename takes everything in it and all grants along; files stay where they are.

        Raises ResourceAlreadyExists, ResourceDoesNotExist.
        """
        new = wanted.full_name or full_name
        try:
            with self._database.write() as connection:
                rows = _and_schemas(connection, full_name)
                namespace_rows.change(connection, rows[0], stamp, **wanted.columns())
                for row in rows if new != full_name else ():
                    _rename(connection, row, new + row.full_name.removeprefix(full_name), stamp)
        except sa.exc.IntegrityError as error:
            raise taken(namespace_securable(new)) from error
        return self.get(new)

    def change_tags(self, full_name: str, changes: TagChanges, stamp: Stamp) -> None:
        """Nothing happens where there is no tag to remove. Raises ResourceDoesNotExist."""
        with self._database.write() as connection:
            row = namespace_rows.locked(connection, full_name)
            namespace_rows.change(connection, row, stamp, tags=changes.applied(row.tags))

    def delete(self, full_name: str, *, force: bool) -> list[str]:
        """With its grants; `force`: with everything in it. Returns where files were, noted as to be deleted.

        Raises ResourceDoesNotExist, InvalidState when something is in it, InUse when an endpoint serves some of it.
        """
        gone: list[str] = []
        with self._database.write(served_models.ALIASES) as connection:
            rows = _and_schemas(connection, full_name)
            inside = [row.full_name for row in rows[1:]]
            for row in rows:
                for model in _models(connection, row):
                    inside.append(model.full_name)
                    gone += models.delete_within(connection, model)
                connection.execute(sa.delete(_S).where(_S.c.id == row.id))
                grants.replace_within(connection, namespace_securable(row.full_name), {})
            if inside and not force:
                raise _not_empty(full_name, inside)
        return gone


def _and_schemas(connection: sa.Connection, full_name: str) -> list[sa.Row[Any]]:
    """Its row and, of a catalog, those of its schemas, held until the transaction ends."""
    first = namespace_rows.locked(connection, full_name)
    if first.full_name != first.catalog:
        return [first]
    inside = sa.and_(_S.c.catalog == first.catalog, _S.c.full_name != first.catalog)
    schemas = sa.select(_S).where(inside).order_by(_S.c.full_name).with_for_update()
    return [first, *connection.execute(schemas)]


def _models(connection: sa.Connection, row: sa.Row[Any]) -> list[sa.Row[Any]]:
    """Those of a schema, held until the transaction ends; none directly in a catalog."""
    catalog, _, schema = row.full_name.partition(".")
    inside = sa.and_(_M.c.catalog == catalog, _M.c.schema == schema)
    return list(connection.execute(sa.select(_M).where(inside).order_by(_M.c.full_name).with_for_update()))


def _rename(connection: sa.Connection, row: sa.Row[Any], new: str, stamp: Stamp) -> None:
    catalog, _, schema = new.partition(".")
    for model in _models(connection, row):
        name = model.full_name.rpartition(".")[2]
        models.rename_within(connection, model, ModelName(catalog, schema, name), stamp)
    namespace_rows.change(connection, row, stamp, full_name=new, catalog=catalog)
    grants.move_within(connection, namespace_securable(row.full_name), namespace_securable(new))


def _not_empty(full_name: str, inside: list[str]) -> errors.InvalidState:
    shown = ", ".join(inside[:3]) + (f" and {len(inside) - 3} more" if len(inside) > 3 else "")
    title = TITLES[namespace_securable(full_name).kind]
    return errors.InvalidState(
        f"{title} {full_name} is not empty: it has {shown}. Delete them first, or send force=true."
    )
