"""Rows of catalogs and schemas inside somebody's transaction. Used by `namespaces` and `models`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from headgate.domain.model_privileges import absent
from headgate.domain.namespace import Namespace, namespace_securable
from headgate.domain.registered_model import Stamp
from headgate.store import grants, registry_tables

_S = registry_tables.namespaces


def make_within(connection: sa.Connection, wanted: Sequence[Namespace]) -> int:
    """Makes those that are not there; how many that were. Only in a transaction that writes nothing else before."""
    made = 0
    for namespace in wanted:
        known = sa.select(_S.c.id).where(_S.c.full_name == namespace.full_name)
        if connection.execute(known).first() is None:
            try:
                with connection.begin_nested():
                    connection.execute(sa.insert(_S).values(_row(namespace)))
                    # A grant that met the deletion of an earlier one of this name is not one on this.
                    grants.replace_within(connection, namespace.securable, {})
                made += 1
            except sa.exc.IntegrityError:
                continue  # a rival made it just now
    return made


def held_within(connection: sa.Connection, full_name: str) -> None:
    """Keeps a catalog or schema from being renamed or deleted until the transaction ends. Raises ResourceDoesNotExist."""
    query = sa.select(_S.c.id).where(_S.c.full_name == full_name).with_for_update(read=True)
    if connection.execute(query).first() is None:
        raise absent(namespace_securable(full_name))


def locked(connection: sa.Connection, full_name: str) -> sa.Row[Any]:
    """The row, held until the transaction ends. Raises ResourceDoesNotExist."""
    row = connection.execute(sa.select(_S).where(_S.c.full_name == full_name).with_for_update()).one_or_none()
    if row is None:
        raise absent(namespace_securable(full_name))
    return row


def change(connection: sa.Connection, row: sa.Row[Any], stamp: Stamp, **values: Any) -> None:
    """Sets columns."""
    changed = {**values, "updated_at": stamp.at_ms, "updated_by": stamp.by}
    connection.execute(sa.update(_S).where(_S.c.id == row.id).values(changed))


def _row(namespace: Namespace) -> dict[str, Any]:
    return {
        "full_name": namespace.full_name,
        "id": namespace.id,
        "kind": namespace.securable.kind,
        "catalog": namespace.catalog,
        "owner_id": namespace.owner_id,
        "creator": namespace.creator,
        "created_at": namespace.created_at_ms,
        "updated_at": namespace.updated_at_ms,
        "updated_by": namespace.updated_by,
        "comment": namespace.comment,
        "properties": dict(namespace.properties),
        "tags": dict(namespace.tags),
    }


def namespace_of(row: sa.Row[Any]) -> Namespace:
    """What a row says."""
    return Namespace(
        id=row.id,
        full_name=row.full_name,
        owner_id=row.owner_id,
        creator=row.creator,
        created_at_ms=row.created_at,
        updated_at_ms=row.updated_at,
        updated_by=row.updated_by,
        comment=row.comment,
        properties=row.properties,
        tags=row.tags,
    )
