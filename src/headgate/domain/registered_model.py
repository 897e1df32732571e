"""Registered models, their versions, and the names they may have. Pure."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headgate import errors
from headgate.domain.grants import MODEL, Securable

MAX_NAME_BYTES = 255
MAX_ALIAS_CHARACTERS = 255
MAX_TAG_KEY_CHARACTERS = 256
# Names of catalogs cannot hold a dot, so these cannot be taken for one.
STAGING = ".staging"
SEALED = ".sealed"
_FORBIDDEN = re.compile(r"[\s/\\:@\x00-\x1f\x7f\ud800-\udfff]")
_ALIAS = re.compile(r"[\w-]+", re.ASCII)
_RESERVED_ALIAS = re.compile(r"latest|v?\d+", re.IGNORECASE | re.ASCII)
_VERSION = re.compile(r"[1-9]\d{0,8}", re.ASCII)


class VersionStatus(str, enum.Enum):
    """How far a model version has come. Only READY ones can be read or served."""

    PENDING = "PENDING_REGISTRATION"
    FAILED = "FAILED_REGISTRATION"
    READY = "READY"


@dataclass(frozen=True, slots=True)
class Author:
    """Who makes or changes something."""

    id: str
    """Of the principal."""
    name: str


@dataclass(frozen=True, slots=True)
class Stamp:
    """Who changed something, and when."""

    by: str
    """A name."""
    at_ms: int


@dataclass(frozen=True, slots=True)
class ModelName:
    """A three-level name, in lower case: `main.default.Churn` and `main.default.churn` are one model."""

    catalog: str
    schema: str
    model: str

    @classmethod
    def parse(cls, text: str) -> ModelName:
        """Raises InvalidParameterValue."""
        parts = text.split(".")
        if len(parts) != 3:
            # Not Databricks' "specify all three levels": at these words MLflow turns the error into an internal one
            # and advises its legacy registry.
            raise errors.InvalidParameterValue(
                f"Registered model name {text!r} is not valid: it must have three levels, catalog.schema.model, "
                "for example main.default.churn."
            )
        return cls(*(checked_level(part, text) for part in parts))

    @property
    def full(self) -> str:
        """`catalog.schema.model`."""
        return f"{self.catalog}.{self.schema}.{self.model}"

    @property
    def securable(self) -> Securable:
        """What grants on the model are on."""
        return Securable(MODEL, self.full)

    def renamed(self, text: str) -> ModelName:
        """The name after a rename to `text`: one level, or three of the same schema. Raises InvalidParameterValue."""
        if "." not in text:
            return ModelName(self.catalog, self.schema, checked_level(text, text))
        name = ModelName.parse(text)
        if (name.catalog, name.schema) != (self.catalog, self.schema):
            raise errors.InvalidParameterValue(
                f"A registered model cannot be moved from {self.catalog}.{self.schema} to "
                f"{name.catalog}.{name.schema} by renaming it; copy its versions with MlflowClient.copy_model_version."
            )
        return name


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A model: what its versions have in common."""

    id: str
    name: ModelName
    owner_id: str
    """Of the user, service principal or group that may do everything with it."""
    creator: str
    created_at_ms: int
    updated_at_ms: int
    updated_by: str
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelChange:
    """What becomes of a model, all at once. None: as it was."""

    description: str | None = None
    owner_id: str | None = None
    name: ModelName | None = None

    def columns(self) -> dict[str, str]:
        """Those that change, the name aside."""
        wanted = {"description": self.description, "owner_id": self.owner_id}
        return {name: value for name, value in wanted.items() if value is not None}


@dataclass(frozen=True, slots=True)
class VersionOrigin:
    """What the client tells of a new version. Kept and echoed, never looked into."""

    source: str = ""
    run_id: str = ""
    run_tracking_server_id: str = ""
    logged_model_id: str = ""
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    dependencies: tuple[Mapping[str, Any], ...] = ()
    """What else it uses, in Unity Catalog's form."""


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One version of a model. Its number is never given to another one, even after it was deleted."""

    name: ModelName
    version: int
    status: VersionStatus
    status_message: str
    creator: str
    creator_id: str
    """Whoever made it may complete it."""
    created_at_ms: int
    updated_at_ms: int
    updated_by: str
    origin: VersionOrigin
    aliases: tuple[str, ...]
    upload_id: str
    """Names its staging area while files are uploaded."""
    location: str
    """Folder of its files, `<catalog>/<schema>/<model>/<version>` as named when it was created."""

    @property
    def title(self) -> str:
        """For messages: `main.default.churn version 3`."""
        return f"{self.name.full} version {self.version}"

    @property
    def staging(self) -> str:
        """Where its files lie while they are uploaded."""
        return f"{STAGING}/{self.upload_id}"

    @property
    def sealed(self) -> str:
        """Where its files lie while they are verified: no upload reaches them there."""
        return f"{SEALED}/{self.upload_id}"


@dataclass(frozen=True, slots=True)
class TagChanges:
    """Tags to set and keys to remove, together."""

    set: Mapping[str, str] = field(default_factory=dict)
    removed: frozenset[str] = frozenset()

    def applied(self, tags: Mapping[str, str]) -> dict[str, str]:
        """The tags then, by key."""
        return dict(sorted({**{key: tags[key] for key in tags if key not in self.removed}, **self.set}.items()))


def places(upload_id: str, location: str) -> list[str]:
    """Everywhere files of a version can lie."""
    return [f"{STAGING}/{upload_id}", f"{SEALED}/{upload_id}", location]


def version_number(text: str) -> int:
    """`"3"` → 3. Raises InvalidParameterValue."""
    if not _VERSION.fullmatch(text):
        raise errors.InvalidParameterValue(f"Model version {text!r} is not valid: it must be a positive integer.")
    return int(text)


def checked_alias(text: str) -> str:
    """The alias itself. Raises InvalidParameterValue."""
    if not _ALIAS.fullmatch(text) or len(text) > MAX_ALIAS_CHARACTERS:
        raise errors.InvalidParameterValue(
            f"Alias {text!r} is not valid: use letters, digits, '_' and '-', {MAX_ALIAS_CHARACTERS} at most."
        )
    if _RESERVED_ALIAS.fullmatch(text):
        raise errors.InvalidParameterValue(
            f"Alias {text!r} is reserved: 'latest' and version numbers cannot be aliases."
        )
    return text


def checked_tag(key: str) -> str:
    """A tag's key itself. Raises InvalidParameterValue."""
    if not key.strip() or len(key) > MAX_TAG_KEY_CHARACTERS:
        raise errors.InvalidParameterValue(
            f"Tag key {key!r} is not valid: it must have 1 to {MAX_TAG_KEY_CHARACTERS} characters."
        )
    return key


def checked_tags(changes: TagChanges) -> TagChanges:
    """The changes themselves. Raises InvalidParameterValue."""
    for key in changes.set:
        checked_tag(key)
    return changes


def checked_level(part: str, whole: str) -> str:
    """One level of a name, folded. Raises InvalidParameterValue, which shows the `whole`."""
    folded = part.lower()
    if not part or _FORBIDDEN.search(part) or len(folded.encode()) > MAX_NAME_BYTES:
        raise errors.InvalidParameterValue(
            f"{part!r} in the name {whole!r} is not valid: each level has 1 to {MAX_NAME_BYTES} bytes "
            "without spaces, control characters, '.', '/', '\\', ':' or '@'."
        )
    return folded
