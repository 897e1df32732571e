"""Versions of registered models. Used by `registry`; the models themselves are in `models`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from headgate import errors
from headgate.domain.model_privileges import absent
from headgate.domain.registered_model import (
    Author,
    ModelName,
    ModelVersion,
    Stamp,
    TagChanges,
    VersionOrigin,
    VersionStatus,
    places,
)
from headgate.store import models, registry_tables, served_models
from headgate.store.database import Database

_M = registry_tables.registered_models
_V = registry_tables.model_versions


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A version to create."""

    name: ModelName
    author: Author
    upload_id: str
    origin: VersionOrigin
    above: int = 0
    """Its number is higher than this, and than every number ever given out under the name."""


@dataclass(frozen=True, slots=True)
class VersionFilter:
    """What versions a search wants; empty fields want all."""

    name: ModelName | None = None
    catalog: str = ""
    schema: str = ""
    run_id: str = ""


class ModelVersions:
    """Repository of model versions. Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, new: NewVersion, now_ms: int) -> ModelVersion:
        """The next version, PENDING. Raises ResourceDoesNotExist."""
        with self._database.write() as connection:
            row = models.locked(connection, new.name)
            number = max(models.last_number(connection, new.name), new.above) + 1
            models.set_last_number(connection, new.name, number)
            connection.execute(sa.insert(_V).values(_row(row.id, number, new, now_ms)))
            models.change(connection, row.id, Stamp(new.author.name, now_ms))
        return self.get(new.name, number)

    def get(self, name: ModelName, version: int) -> ModelVersion:
        """Raises ResourceDoesNotExist, also when there is no such model."""
        with self._database.read() as connection:
            row = connection.execute(
                _joined().where(_M.c.full_name == name.full, _V.c.version == version)
            ).one_or_none()
            if row is None:
                known = connection.execute(sa.select(_M.c.id).where(_M.c.full_name == name.full)).first()
        if row is None:
            raise absent(name.securable) if known is None else _missing(name, version)
        return _version(row)

    def search(self, wanted: VersionFilter, page: models.Page) -> list[ModelVersion]:
        """By full name, newest version first."""
        query = _joined().order_by(_M.c.full_name, _V.c.version.desc()).limit(page.limit)
        if page.after is not None:
            name, version = page.after
            older = sa.and_(_M.c.full_name == name, _V.c.version < version)
            query = query.where(sa.or_(_M.c.full_name > name, older))
        columns = {_M.c.catalog: wanted.catalog, _M.c.schema: wanted.schema, _V.c.run_id: wanted.run_id}
        columns[_M.c.full_name] = wanted.name.full if wanted.name is not None else ""
        for column, value in columns.items():
            if value:
                query = query.where(column == value)
        with self._database.read() as connection:
            return [_version(row) for row in connection.execute(query)]

    def pending(self) -> list[ModelVersion]:
        """Those whose upload was begun and not completed."""
        query = _joined().where(_V.c.status == VersionStatus.PENDING.value)
        with self._database.read() as connection:
            return [_version(row) for row in connection.execute(query)]

    def settle(self, version: ModelVersion, status: VersionStatus, message: str, now_ms: int) -> bool:
        """Ends PENDING. False, and nothing written, when it is no more pending or no more there."""
        with self._database.write(served_models.ALIASES) as connection:
            done = connection.execute(
                sa.update(_V)
                .where(_V.c.upload_id == version.upload_id, _V.c.status == VersionStatus.PENDING.value)
                .values(status=status.value, status_message=message, updated_at=now_ms)
            )
        return bool(done.rowcount)

    def describe(self, name: ModelName, version: int, description: str, stamp: Stamp) -> ModelVersion:
        """Sets the description. Raises ResourceDoesNotExist."""
        with self._database.write() as connection:
            row = _locked(connection, name, version)
            connection.execute(_update(row, stamp, description=description))
        return self.get(name, version)

    def change_tags(self, name: ModelName, version: int, changes: TagChanges, stamp: Stamp) -> None:
        """Nothing happens where there is no tag to remove. Raises ResourceDoesNotExist."""
        with self._database.write() as connection:
            row = _locked(connection, name, version)
            connection.execute(_update(row, stamp, tags=changes.applied(row.tags)))

    def delete(self, name: ModelName, version: int, stamp: Stamp) -> list[str]:
        """With its aliases; returns where its files were, noted as to be deleted.

        Raises ResourceDoesNotExist, InUse when an endpoint serves it.
        """
        with self._database.write(served_models.ALIASES) as connection:
            model = models.locked(connection, name)
            row = _locked(connection, name, version)
            what = f"Model version {name.full} version {version} cannot be deleted"
            served_models.check_unused_within(connection, name.full, what, version)
            aliases = {alias: number for alias, number in model.aliases.items() if number != version}
            models.change(connection, model.id, stamp, aliases=aliases)
            gone = places(row.upload_id, row.location)
            models.note_deleted(connection, gone)
            connection.execute(sa.delete(_V).where(_V.c.model_id == row.model_id, _V.c.version == version))
        return gone


def _joined() -> sa.Select[Any]:
    return sa.select(_V, _M.c.full_name, _M.c.aliases).join(_M, _M.c.id == _V.c.model_id)


def _locked(connection: sa.Connection, name: ModelName, version: int) -> sa.Row[Any]:
    model = models.locked(connection, name)
    query = sa.select(_V).where(_V.c.model_id == model.id, _V.c.version == version).with_for_update()
    row = connection.execute(query).one_or_none()
    if row is None:
        raise _missing(name, version)
    return row


def _update(row: sa.Row[Any], stamp: Stamp, **values: Any) -> sa.Update:
    changed = {**values, "updated_at": stamp.at_ms, "updated_by": stamp.by}
    return sa.update(_V).where(_V.c.model_id == row.model_id, _V.c.version == row.version).values(changed)


def _missing(name: ModelName, version: int) -> errors.ResourceDoesNotExist:
    return errors.ResourceDoesNotExist(f"Model version {name.full} version {version} does not exist.")


def _row(model_id: str, number: int, new: NewVersion, now_ms: int) -> dict[str, Any]:
    return {
        "model_id": model_id,
        "version": number,
        "status": VersionStatus.PENDING.value,
        "status_message": "",
        "creator": new.author.name,
        "creator_id": new.author.id,
        "created_at": now_ms,
        "updated_at": now_ms,
        "updated_by": new.author.name,
        "source": new.origin.source,
        "run_id": new.origin.run_id,
        "run_tracking_server_id": new.origin.run_tracking_server_id,
        "logged_model_id": new.origin.logged_model_id,
        "description": new.origin.description,
        "tags": dict(sorted(new.origin.tags.items())),
        "dependencies": list(new.origin.dependencies),
        "upload_id": new.upload_id,
        "location": f"{new.name.catalog}/{new.name.schema}/{new.name.model}/{number}",
    }


def _version(row: sa.Row[Any]) -> ModelVersion:
    aliases: Mapping[str, int] = row.aliases
    return ModelVersion(
        name=ModelName(*row.full_name.split(".")),
        version=row.version,
        status=VersionStatus(row.status),
        status_message=row.status_message,
        creator=row.creator,
        creator_id=row.creator_id,
        created_at_ms=row.created_at,
        updated_at_ms=row.updated_at,
        updated_by=row.updated_by,
        origin=VersionOrigin(
            source=row.source,
            run_id=row.run_id,
            run_tracking_server_id=row.run_tracking_server_id,
            logged_model_id=row.logged_model_id,
            description=row.description,
            tags=row.tags,
            dependencies=tuple(row.dependencies),
        ),
        aliases=tuple(sorted(alias for alias, version in aliases.items() if version == row.version)),
        upload_id=row.upload_id,
        location=row.location,
    )
