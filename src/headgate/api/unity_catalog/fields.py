"""Arguments that several of the families read."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from headgate import errors
from headgate.api.model_registry.arguments import Arguments
from headgate.domain.grants import Securable
from headgate.domain.namespace import namespace_securable
from headgate.domain.registered_model import ModelName
from headgate.registry import catalogs


class Paged(Arguments):
    """Part of a list. 0 and nothing leave the length to us."""

    max_results: int | None = Field(None, ge=0)
    page_token: str | None = None
    include_browse: bool = False

    def limit(self, default: int, most: int) -> int:
        """How many to show."""
        return min(self.max_results or default, most)


class ModelNamed(Arguments):
    """In the path, three levels."""

    full_name: str

    @property
    def securable(self) -> Securable:
        """What `Operation.needs` is needed on."""
        return ModelName.parse(self.full_name).securable


class ModelParts(Arguments):
    """In the body, level by level."""

    catalog_name: str
    schema_name: str

    def full(self, model: str) -> str:
        """Of a model there."""
        return ModelName.parse(f"{self.catalog_name}.{self.schema_name}.{model}").full


class NamespaceNamed(Arguments):
    """A catalog or schema in the path."""

    full_name: str

    @property
    def securable(self) -> Securable:
        """What `Operation.needs` is needed on."""
        return namespace_securable(catalogs.checked_name(self.full_name))


class Tag(Arguments):
    """A key and what it says."""

    key: str
    value: str = ""


def refuse(what: str, **sent: Any) -> None:
    """Raises InvalidParameterValue for fields that would have to be ignored although they mean something."""
    for field, value in sent.items():
        if value:
            raise errors.InvalidParameterValue(f"{field} cannot be set: {what}. Leave it out.")
