"""Catalogs and schemas: operations on them. Used by the API. Names come as text and are checked here."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from headgate.clock import Clock
from headgate.domain.namespace import Namespace, NamespaceChange, catalog_name, schema_name
from headgate.domain.registered_model import Author, Stamp, TagChanges, checked_tags
from headgate.registry.version_files import VersionFiles
from headgate.store.database import Database
from headgate.store.namespaces import Namespaces


class Catalogs:
    """One per process; thread-safe. All methods block. Full names are `catalog` or `catalog.schema`."""

    def __init__(self, database: Database, files: VersionFiles, clock: Clock) -> None:
        self._namespaces = Namespaces(database)
        self._files = files
        self._clock = clock

    def create(self, full_name: str, author: Author, comment: str, properties: Mapping[str, str]) -> Namespace:
        """Its author owns it. Raises ResourceAlreadyExists, ResourceDoesNotExist for a schema of no catalog, InvalidParameterValue."""
        made = new_namespace(checked_name(full_name), author, self._clock.now_ms(), (comment, properties))
        self._namespaces.create(made)
        return made

    def get(self, full_name: str) -> Namespace:
        """Raises ResourceDoesNotExist."""
        return self._namespaces.get(checked_name(full_name))

    def search(self, *, catalog: str = "", after: str = "", limit: int) -> list[Namespace]:
        """Catalogs, or the schemas of one (in lower case), by name, those `after` a full name."""
        return self._namespaces.search(catalog=catalog, after=after, limit=limit)

    def change(self, full_name: str, wanted: NamespaceChange, author: Author) -> Namespace:
        """Models in what is renamed change their names; their files stay. Raises ResourceAlreadyExists, ResourceDoesNotExist."""
        return self._namespaces.change(checked_name(full_name), wanted, self._stamp(author))

    def delete(self, full_name: str, *, force: bool) -> None:
        """With `force`, what is in it as well, files included. Raises InvalidState when it is not empty."""
        self._files.delete(self._namespaces.delete(checked_name(full_name), force=force))

    def change_tags(self, full_name: str, changes: TagChanges, author: Author) -> None:
        """No error where there is no tag to remove."""
        self._namespaces.change_tags(checked_name(full_name), checked_tags(changes), self._stamp(author))

    def _stamp(self, author: Author) -> Stamp:
        return Stamp(author.name, self._clock.now_ms())


def renamed(full_name: str, new_name: str) -> str:
    """The name after a rename, which is of the last level. Raises InvalidParameterValue."""
    above, dot, _ = full_name.rpartition(".")
    return above + dot + catalog_name(new_name)


def checked_name(full_name: str) -> str:
    """Of a catalog or schema, in lower case. Raises InvalidParameterValue."""
    return schema_name(full_name) if "." in full_name else catalog_name(full_name)


def new_namespace(
    full_name: str, author: Author, now_ms: int, described: tuple[str, Mapping[str, str]] = ("", {})
) -> Namespace:
    """A catalog or schema to be made, with a comment and properties."""
    return Namespace(
        id=uuid.uuid4().hex,
        full_name=full_name,
        owner_id=author.id,
        creator=author.name,
        created_at_ms=now_ms,
        updated_at_ms=now_ms,
        updated_by=author.name,
        comment=described[0],
        properties=dict(described[1]),
    )
