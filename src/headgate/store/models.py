"""Registered models: names, tags, aliases. Used by `registry`; versions are in `model_versions`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from headgate import errors
from headgate.domain.grants import MODEL, Securable
from headgate.domain.model_privileges import absent, taken
from headgate.domain.namespace import Namespace
from headgate.domain.registered_model import ModelChange, ModelName, RegisteredModel, Stamp, TagChanges, places
from headgate.store import grants, namespace_rows, registry_tables, served_models
from headgate.store.database import Database

_M = registry_tables.registered_models
_V = registry_tables.model_versions
_N = registry_tables.version_numbers
_D = registry_tables.deleted_files


@dataclass(frozen=True, slots=True)
class Page:
    """What part of a sorted search is wanted."""

    limit: int
    after: tuple[str, int] | None = None
    """Last (full name, version) of the page before; version is 0 where models are searched."""


class Models:
    """Repository of registered models. Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, model: RegisteredModel, missing_namespaces: Sequence[Namespace] = ()) -> None:
        """Makes these catalogs and schemas with it. Raises ResourceAlreadyExists, ResourceDoesNotExist when others are missing."""
        row = {
            "id": model.id,
            "full_name": model.name.full,
            "catalog": model.name.catalog,
            "schema": model.name.schema,
            "owner_id": model.owner_id,
            "creator": model.creator,
            "created_at": model.created_at_ms,
            "updated_at": model.updated_at_ms,
            "updated_by": model.updated_by,
            "description": model.description,
            "tags": dict(model.tags),
            "aliases": dict(model.aliases),
        }
        try:
            with self._database.write() as connection:
                namespace_rows.make_within(connection, missing_namespaces)
                namespace_rows.held_within(connection, f"{model.name.catalog}.{model.name.schema}")
                connection.execute(sa.insert(_M).values(row))
                # A grant that met the deletion of an earlier model of this name is not one on this model.
                grants.replace_within(connection, model.name.securable, {})
        except sa.exc.IntegrityError as error:
            raise taken(model.name.securable) from error

    def get(self, name: ModelName) -> RegisteredModel:
        """Raises ResourceDoesNotExist."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(_M).where(_M.c.full_name == name.full)).one_or_none()
        if row is None:
            raise absent(name.securable)
        return _model(row)

    def search(self, page: Page, *, catalog: str = "", schema: str = "") -> list[RegisteredModel]:
        """By full name; of one catalog or schema when given."""
        query = sa.select(_M).order_by(_M.c.full_name).limit(page.limit)
        if page.after is not None:
            query = query.where(_M.c.full_name > page.after[0])
        if catalog:
            query = query.where(_M.c.catalog == catalog)
        if schema:
            query = query.where(_M.c.schema == schema)
        with self._database.read() as connection:
            return [_model(row) for row in connection.execute(query)]

    def change(self, name: ModelName, wanted: ModelChange, stamp: Stamp) -> RegisteredModel:
        """A rename takes its grants along; files stay where they are; version numbers go on from the higher of both names.

        Raises ResourceAlreadyExists, ResourceDoesNotExist.
        """
        new = wanted.name or name
        try:
            with self._database.write(served_models.ALIASES) as connection:
                row = locked(connection, name)
                change(connection, row.id, stamp, **wanted.columns())
                if new != name:
                    rename_within(connection, row, new, stamp)
        except sa.exc.IntegrityError as error:
            raise taken(new.securable) from error
        return self.get(new)

    def delete(self, name: ModelName) -> list[str]:
        """With all its versions and grants; returns where their files were, noted as to be deleted.

        Raises ResourceDoesNotExist, InUse when an endpoint serves it.
        """
        with self._database.write(served_models.ALIASES) as connection:
            return delete_within(connection, locked(connection, name))

    def change_tags(self, name: ModelName, changes: TagChanges, stamp: Stamp) -> None:
        """Nothing happens where there is no tag to remove. Raises ResourceDoesNotExist."""
        with self._database.write() as connection:
            row = locked(connection, name)
            change(connection, row.id, stamp, tags=changes.applied(row.tags))

    def set_alias(self, name: ModelName, alias: str, version: int, stamp: Stamp) -> None:
        """Raises ResourceDoesNotExist when there is no such model or version."""
        with self._database.write(served_models.ALIASES) as connection:
            row = locked(connection, name)
            query = sa.select(_V.c.version).where(_V.c.model_id == row.id, _V.c.version == version)
            if connection.execute(query).first() is None:
                raise errors.ResourceDoesNotExist(f"Model version {name.full} version {version} does not exist.")
            change(connection, row.id, stamp, aliases=_sorted({**row.aliases, alias: version}))

    def delete_alias(self, name: ModelName, alias: str, stamp: Stamp) -> None:
        """Nothing happens when there is no such alias. Raises ResourceDoesNotExist."""
        with self._database.write(served_models.ALIASES) as connection:
            row = locked(connection, name)
            change(connection, row.id, stamp, aliases=_without(row.aliases, alias))

    def deleted_files(self) -> list[str]:
        """Locations whose deletion was not yet completed."""
        with self._database.read() as connection:
            return list(connection.execute(sa.select(_D.c.location)).scalars())

    def strike_out(self, location: str) -> None:
        """The files there are gone."""
        with self._database.write() as connection:
            connection.execute(sa.delete(_D).where(_D.c.location == location))


def locked(connection: sa.Connection, name: ModelName) -> sa.Row[Any]:
    """The model's row, held until the transaction ends. Raises ResourceDoesNotExist."""
    row = connection.execute(sa.select(_M).where(_M.c.full_name == name.full).with_for_update()).one_or_none()
    if row is None:
        raise absent(name.securable)
    return row


def change(connection: sa.Connection, model_id: str, stamp: Stamp, **values: Any) -> None:
    """Sets columns of a model."""
    changed = {**values, "updated_at": stamp.at_ms, "updated_by": stamp.by}
    connection.execute(sa.update(_M).where(_M.c.id == model_id).values(changed))


def rename_within(connection: sa.Connection, row: sa.Row[Any], new: ModelName, stamp: Stamp) -> None:
    """Under a new name, with its grants. `row` is locked. Raises InUse when an endpoint serves it by the old one."""
    served_models.check_unused_within(connection, row.full_name, f"Registered model {row.full_name} cannot be renamed")
    name = ModelName(*row.full_name.split("."))
    last = max(last_number(connection, name), last_number(connection, new))
    set_last_number(connection, new, last)
    change(connection, row.id, stamp, full_name=new.full, catalog=new.catalog, schema=new.schema)
    grants.move_within(connection, name.securable, new.securable)


def delete_within(connection: sa.Connection, row: sa.Row[Any]) -> list[str]:
    """As `Models.delete`; `row` is locked."""
    served_models.check_unused_within(connection, row.full_name, f"Registered model {row.full_name} cannot be deleted")
    versions = connection.execute(sa.select(_V.c.location, _V.c.upload_id).where(_V.c.model_id == row.id))
    gone = [place for version in versions for place in places(version.upload_id, version.location)]
    note_deleted(connection, gone)
    connection.execute(sa.delete(_V).where(_V.c.model_id == row.id))
    connection.execute(sa.delete(_M).where(_M.c.id == row.id))
    grants.replace_within(connection, Securable(MODEL, row.full_name), {})
    return gone


def last_number(connection: sa.Connection, name: ModelName) -> int:
    """Highest version number given out under this name."""
    return connection.execute(sa.select(_N.c.last).where(_N.c.full_name == name.full)).scalar() or 0


def set_last_number(connection: sa.Connection, name: ModelName, last: int) -> None:
    """Remembers it. The model's row must be locked."""
    grown = connection.execute(sa.update(_N).where(_N.c.full_name == name.full).values(last=last))
    if grown.rowcount == 0:
        connection.execute(sa.insert(_N).values(full_name=name.full, last=last))


def note_deleted(connection: sa.Connection, locations: list[str]) -> None:
    """Notes files as to be deleted, in the transaction that makes them unreachable."""
    if locations:
        connection.execute(sa.insert(_D), [{"location": location} for location in locations])


def _without(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != key}


def _sorted(values: Mapping[str, Any]) -> dict[str, Any]:
    return dict(sorted(values.items()))


def _model(row: sa.Row[Any]) -> RegisteredModel:
    return RegisteredModel(
        id=row.id,
        name=ModelName(*row.full_name.split(".")),
        owner_id=row.owner_id,
        creator=row.creator,
        created_at_ms=row.created_at,
        updated_at_ms=row.updated_at,
        updated_by=row.updated_by,
        description=row.description,
        tags=row.tags,
        aliases=row.aliases,
    )
