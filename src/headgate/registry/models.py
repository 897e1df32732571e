"""The model registry: rules and operations on models, versions, aliases and tags. Used by the API and by whoever deploys models.

Names come as text and are checked here. Files are in `version_files`.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from headgate import errors
from headgate.clock import Clock
from headgate.domain import model_files
from headgate.domain.environment import ModelDescription
from headgate.domain.registered_model import (
    STAGING,
    Author,
    ModelChange,
    ModelName,
    ModelVersion,
    RegisteredModel,
    Stamp,
    TagChanges,
    VersionOrigin,
    checked_alias,
    checked_tag,
    checked_tags,
    version_number,
)
from headgate.registry.catalogs import Catalogs, new_namespace
from headgate.registry.storage import Storage
from headgate.registry.version_files import VersionFiles
from headgate.store.database import Database
from headgate.store.model_versions import ModelVersions, NewVersion, VersionFilter
from headgate.store.models import Models, Page

_NAMED_IN_MESSAGES = 10
_DESCRIBED_FILE_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class NewModel:
    """A model to create."""

    name: str
    author: Author
    """Owns it."""
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    missing: Sequence[str] = ()
    """Full names of the catalog and schema that are made with it if there are none."""


class Registry:
    """One per process; thread-safe. All methods block. `files` has the operations on files,
    `catalogs` those on catalogs and schemas."""

    def __init__(self, database: Database, storage: Storage, clock: Clock) -> None:
        self._models = Models(database)
        self._versions = ModelVersions(database)
        self._storage = storage
        self._clock = clock
        self.files = VersionFiles(self._models, self._versions, storage, clock)
        self.catalogs = Catalogs(database, self.files, clock)

    # -- models --------------------------------------------------------------------------------------------------

    def create_model(self, new: NewModel) -> RegisteredModel:
        """Raises ResourceAlreadyExists, InvalidParameterValue."""
        now_ms = self._clock.now_ms()
        model = RegisteredModel(
            id=uuid.uuid4().hex,
            name=ModelName.parse(new.name),
            owner_id=new.author.id,
            creator=new.author.name,
            created_at_ms=now_ms,
            updated_at_ms=now_ms,
            updated_by=new.author.name,
            description=new.description,
            tags={checked_tag(key): new.tags[key] for key in sorted(new.tags)},
        )
        self._models.create(model, [new_namespace(name, new.author, now_ms) for name in new.missing])
        return model

    def model(self, name: str) -> RegisteredModel:
        """Raises ResourceDoesNotExist."""
        return self._models.get(ModelName.parse(name))

    def search_models(self, page: Page, *, catalog: str = "", schema: str = "") -> list[RegisteredModel]:
        """By name."""
        return self._models.search(page, catalog=catalog.lower(), schema=schema.lower())

    def change_model(self, name: str, wanted: ModelChange, author: Author) -> RegisteredModel:
        """Raises ResourceAlreadyExists, ResourceDoesNotExist."""
        return self._models.change(ModelName.parse(name), wanted, self._stamp(author))

    def delete_model(self, name: str) -> None:
        """With all versions and files. Their numbers are not used again."""
        self.files.delete(self._models.delete(ModelName.parse(name)))

    def change_model_tags(self, name: str, changes: TagChanges, author: Author) -> None:
        """No error where there is no tag to remove."""
        self._models.change_tags(ModelName.parse(name), checked_tags(changes), self._stamp(author))

    def set_alias(self, name: str, alias: str, version: str, author: Author) -> None:
        """Adds or moves it. Raises ResourceDoesNotExist when there is no such version."""
        number = version_number(version)
        self._models.set_alias(ModelName.parse(name), checked_alias(alias), number, self._stamp(author))

    def delete_alias(self, name: str, alias: str, author: Author) -> None:
        """No error when there is no such alias."""
        self._models.delete_alias(ModelName.parse(name), alias, self._stamp(author))

    # -- versions ------------------------------------------------------------------------------------------------

    def create_version(self, name: str, author: Author, origin: VersionOrigin) -> ModelVersion:
        """The next version, PENDING_REGISTRATION, ready for uploads. Raises ResourceDoesNotExist."""
        for key in origin.tags:
            checked_tag(key)
        model = self._models.get(ModelName.parse(name)).name
        new = NewVersion(model, author, uuid.uuid4().hex, origin, self._highest_on_storage(model))
        # Before the row: a version without a staging area would be taken for one whose upload was lost.
        self._storage.create(f"{STAGING}/{new.upload_id}")
        return self._versions.create(new, self._clock.now_ms())

    def version(self, name: str, version: str) -> ModelVersion:
        """Raises ResourceDoesNotExist."""
        return self._versions.get(ModelName.parse(name), version_number(version))

    def version_by_alias(self, name: str, alias: str) -> ModelVersion:
        """Raises ResourceDoesNotExist, naming the aliases there are."""
        model = self.model(name)
        if alias not in model.aliases:
            known = ", ".join(sorted(model.aliases)) or "none"
            raise errors.ResourceDoesNotExist(
                f"Registered model alias {alias} of {model.name.full} does not exist; existing aliases: {known}."
            )
        return self._versions.get(model.name, model.aliases[alias])

    def search_versions(self, wanted: VersionFilter, page: Page) -> list[ModelVersion]:
        """By name, newest first."""
        return self._versions.search(wanted, page)

    def describe_version(self, name: str, version: str, description: str, author: Author) -> ModelVersion:
        """Sets the description."""
        number = version_number(version)
        return self._versions.describe(ModelName.parse(name), number, description, self._stamp(author))

    def finalize_version(self, name: str, version: str) -> ModelVersion:
        """Verifies and publishes what was uploaded; see `VersionFiles.finalize`."""
        return self.files.finalize(ModelName.parse(name), version_number(version))

    def check_transfer(self, name: str, version: str, *, writing: bool) -> None:
        """Raises InvalidState unless files of the version may be uploaded (`writing`) or downloaded now."""
        parsed, number = ModelName.parse(name), version_number(version)
        if writing:
            self.files.writable(parsed, number)
        else:
            self.files.readable(parsed, number)

    def delete_version(self, name: str, version: str, author: Author) -> None:
        """With its files and aliases. Its number is not used again."""
        number = version_number(version)
        self.files.delete(self._versions.delete(ModelName.parse(name), number, self._stamp(author)))

    def change_version_tags(self, name: str, version: str, changes: TagChanges, author: Author) -> None:
        """No error where there is no tag to remove."""
        number = version_number(version)
        self._versions.change_tags(ModelName.parse(name), number, checked_tags(changes), self._stamp(author))

    # -- serving -------------------------------------------------------------------------------------------------

    def resolve(self, entity_name: str, version_or_alias: str) -> str:
        """`"3"`, `"@Champion"` or `"Champion"` → `"3"`. Raises ResourceDoesNotExist, naming what there is."""
        if version_or_alias.isdecimal():
            return str(self._existing(entity_name, version_or_alias).version)
        return str(self.version_by_alias(entity_name, version_or_alias.removeprefix("@")).version)

    def describe(self, entity_name: str, version: str) -> ModelDescription:
        """What serving a READY version needs to know. Raises ResourceDoesNotExist, InvalidState, InvalidParameterValue."""
        name, number = ModelName.parse(entity_name), version_number(version)
        found = self.files.readable(name, number)
        path = str(self._storage.place(found.location))

        def read(file: str) -> str | None:
            return self.files.text(found, file, _DESCRIBED_FILE_BYTES)

        return model_files.describe(found.name.full, str(found.version), path, read)

    def recover(self) -> None:
        """Ends what dead processes began. Call at start; safe while other processes work."""
        self.files.recover()

    def _stamp(self, author: Author) -> Stamp:
        return Stamp(author.name, self._clock.now_ms())

    def _existing(self, name: str, version: str) -> ModelVersion:
        try:
            return self.version(name, version)
        except errors.ResourceDoesNotExist as error:
            parsed = self.model(name).name
            newest = self._versions.search(VersionFilter(name=parsed), Page(_NAMED_IN_MESSAGES))
            known = ", ".join(str(found.version) for found in newest) or "none"
            raise errors.ResourceDoesNotExist(f"{error.message} Existing versions: {known}.") from error

    def _highest_on_storage(self, name: ModelName) -> int:
        """Files can outlive a lost database; a number that has files must not be given out again."""
        try:
            entries = self._storage.entries(f"{name.catalog}/{name.schema}/{name.model}")
        except FileNotFoundError:
            return 0
        return max((int(entry.path) for entry in entries if entry.path.isdecimal()), default=0)
