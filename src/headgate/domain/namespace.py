"""Catalogs and schemas: where registered models are, and who may make them there. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headgate import errors
from headgate.domain.grants import CATALOG, SCHEMA, Securable
from headgate.domain.registered_model import checked_level

DEFAULT_CATALOG = "main"


@dataclass(frozen=True, slots=True)
class Namespace:
    """A catalog, or a schema in one."""

    id: str
    full_name: str
    """`catalog` or `catalog.schema`, in lower case."""
    owner_id: str
    """Of the user, service principal or group that may do everything with it and with what is in it."""
    creator: str
    created_at_ms: int
    updated_at_ms: int
    updated_by: str
    comment: str = ""
    properties: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def securable(self) -> Securable:
        """What grants on it are on."""
        return namespace_securable(self.full_name)

    @property
    def catalog(self) -> str:
        """The catalog it is in, or is."""
        return self.full_name.partition(".")[0]

    @property
    def name(self) -> str:
        """The last level."""
        return self.full_name.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class NamespaceChange:
    """What becomes of a catalog or schema, all at once. None: as it was."""

    comment: str | None = None
    properties: Mapping[str, str] | None = None
    owner_id: str | None = None
    full_name: str | None = None

    def columns(self) -> dict[str, Any]:
        """Those that change, the name aside."""
        wanted = {"comment": self.comment, "properties": self.properties, "owner_id": self.owner_id}
        return {name: value for name, value in wanted.items() if value is not None}


def namespace_securable(full_name: str) -> Securable:
    """Of a catalog or schema."""
    return Securable(SCHEMA if "." in full_name else CATALOG, full_name)


def catalog_name(text: str) -> str:
    """In lower case. Raises InvalidParameterValue."""
    if "." in text:
        raise errors.InvalidParameterValue(f"The name {text!r} is not valid: it has one level, without a dot.")
    return checked_level(text, text)


def schema_name(text: str) -> str:
    """`catalog.schema` in lower case. Raises InvalidParameterValue."""
    parts = text.split(".")
    if len(parts) != 2:
        raise errors.InvalidParameterValue(
            f"Schema name {text!r} is not valid: it must have two levels, catalog.schema, for example main.default."
        )
    return ".".join(checked_level(part, text) for part in parts)
