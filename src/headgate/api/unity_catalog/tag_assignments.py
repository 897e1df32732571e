"""Tags on catalogs, schemas, models and versions: changed at once as MLflow does it, or one by one as the SDK does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from headgate import errors
from headgate.api.model_registry.arguments import Arguments
from headgate.api.model_registry.asking import Asking
from headgate.api.model_registry.operations import SEEN, Operation
from headgate.api.unity_catalog.fields import Tag
from headgate.domain.grants import CATALOG, MODEL, SCHEMA, Securable
from headgate.domain.model_privileges import APPLY_TAG
from headgate.domain.registered_model import ModelName, TagChanges
from headgate.registry import catalogs

_KINDS = {"catalog": CATALOG, "schema": SCHEMA, "function": MODEL, "model": MODEL, "registered_model": MODEL}


class Changes(Arguments):
    add_tags: list[Tag] = Field(default_factory=list)
    remove: list[str] = Field(default_factory=list)

    def parsed(self) -> TagChanges:
        """To hand on."""
        return TagChanges({tag.key: tag.value for tag in self.add_tags}, frozenset(self.remove))


class OnSecurable(Arguments):
    securable_type: str
    securable_full_name: str
    changes: Changes

    @property
    def securable(self) -> Securable:
        """What `Operation.needs` is needed on."""
        return _securable(self.securable_type, self.securable_full_name)


class OnVersion(OnSecurable):
    subentity_name: str


class Entity(Arguments):
    entity_type: str
    entity_name: str

    @property
    def securable(self) -> Securable:
        """What `Operation.needs` is needed on."""
        return _securable(self.entity_type, self.entity_name)


class Assignment(Entity):
    tag_key: str


class NewAssignment(Assignment):
    tag_value: str = ""


class ChangedAssignment(NewAssignment):
    update_mask: str = "*"


def _securable(kind: str, full_name: str) -> Securable:
    """`kind` in any case, singular or plural. Raises InvalidParameterValue."""
    name = kind.lower()
    found = _KINDS.get(name) or _KINDS.get(name.removesuffix("s"))
    if found is None:
        raise errors.InvalidParameterValue(
            f"Tags of {kind!r} are not kept: use catalogs, schemas or functions (registered models)."
        )
    if found == MODEL:
        return ModelName.parse(full_name).securable
    checked = catalogs.checked_name(full_name)
    if ("." in checked) != (found == SCHEMA):
        raise errors.InvalidParameterValue(f"{full_name!r} is not the full name of a {found}.")
    return Securable(found, checked)


def _tags(asking: Asking, securable: Securable) -> Mapping[str, str]:
    if securable.kind == MODEL:
        return asking.registry.model(securable.id).tags
    return asking.registry.catalogs.get(securable.id).tags


def _change(asking: Asking, securable: Securable, changes: TagChanges) -> None:
    if securable.kind == MODEL:
        asking.registry.change_model_tags(securable.id, changes, asking.author)
    else:
        asking.registry.catalogs.change_tags(securable.id, changes, asking.author)


def _change_tags(asking: Asking, sent: OnSecurable) -> dict[str, Any]:
    _change(asking, sent.securable, sent.changes.parsed())
    return {}


def _change_version_tags(asking: Asking, sent: OnVersion) -> dict[str, Any]:
    if sent.securable.kind != MODEL:
        raise errors.InvalidParameterValue("Only versions of registered models (FUNCTION) have tags of their own.")
    name, version = sent.securable.id, sent.subentity_name
    asking.registry.change_version_tags(name, version, sent.changes.parsed(), asking.author)
    return {}


def _create(asking: Asking, sent: NewAssignment) -> dict[str, Any]:
    if sent.tag_key in _tags(asking, sent.securable):
        raise errors.ResourceAlreadyExists(f"{sent.entity_name} has a tag {sent.tag_key!r} already; update it instead.")
    _change(asking, sent.securable, TagChanges({sent.tag_key: sent.tag_value}))
    return _shown(sent, sent.tag_key, sent.tag_value)


def _list(asking: Asking, sent: Entity) -> dict[str, Any]:
    found = _tags(asking, sent.securable)
    return {"tag_assignments": [_shown(sent, key, value) for key, value in found.items()]}


def _look(asking: Asking, sent: Assignment) -> dict[str, Any]:
    return _shown(sent, sent.tag_key, _existing(asking, sent))


def _update(asking: Asking, sent: ChangedAssignment) -> dict[str, Any]:
    if sent.update_mask not in ("*", "tag_value"):
        raise errors.InvalidParameterValue(f"update_mask must be tag_value, not {sent.update_mask!r}.")
    _existing(asking, sent)
    _change(asking, sent.securable, TagChanges({sent.tag_key: sent.tag_value}))
    return _shown(sent, sent.tag_key, sent.tag_value)


def _delete(asking: Asking, sent: Assignment) -> dict[str, Any]:
    _existing(asking, sent)
    _change(asking, sent.securable, TagChanges(removed=frozenset({sent.tag_key})))
    return {}


def _existing(asking: Asking, sent: Assignment) -> str:
    found = _tags(asking, sent.securable)
    if sent.tag_key not in found:
        raise errors.ResourceDoesNotExist(f"{sent.entity_name} has no tag {sent.tag_key!r}.")
    return found[sent.tag_key]


def _shown(sent: Entity, key: str, value: str) -> dict[str, Any]:
    """`EntityTagAssignment`."""
    return {"entity_type": sent.entity_type, "entity_name": sent.entity_name, "tag_key": key, "tag_value": value}


_ASSIGNMENTS = "entity-tag-assignments"
_OF_ENTITY = _ASSIGNMENTS + "/{entity_type}/{entity_name}/tags"
OPERATIONS = (
    Operation("PATCH", "securable-tags/{securable_type}/{securable_full_name}", OnSecurable, _change_tags, APPLY_TAG),
    Operation(
        "PATCH",
        "subentity-tags/{securable_type}/{securable_full_name}/{subentity_name}",
        OnVersion,
        _change_version_tags,
        APPLY_TAG,
    ),
    Operation("POST", _ASSIGNMENTS, NewAssignment, _create, APPLY_TAG),
    Operation("GET", _OF_ENTITY, Entity, _list, SEEN),
    Operation("GET", _OF_ENTITY + "/{tag_key}", Assignment, _look, SEEN),
    Operation("PATCH", _OF_ENTITY + "/{tag_key}", ChangedAssignment, _update, APPLY_TAG),
    Operation("DELETE", _OF_ENTITY + "/{tag_key}", Assignment, _delete, APPLY_TAG),
)
