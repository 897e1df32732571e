"""The Unity-Catalog-flavoured MLflow registry, `/api/2.0/mlflow/unity-catalog/…`: what `MLFLOW_REGISTRY_URI=databricks-uc` speaks.

Wire shape in, `access.model_rights` asked, then `registry.models.Registry`, wire shape out; files travel over `files`. Shapes are MLflow's
`databricks_uc_registry_messages`; absent fields are left out.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import Field

from headgate.api.model_registry import operations, registry_search
from headgate.api.model_registry.arguments import Arguments
from headgate.api.model_registry.asking import Asking
from headgate.api.model_registry.operations import ASKED, SEEN, Operation
from headgate.api.model_registry.registry_shapes import model_json, version_json
from headgate.domain.grants import Securable
from headgate.domain.model_privileges import APPLY_TAG, CREATE_MODEL_VERSION, EXECUTE, MANAGE
from headgate.domain.registered_model import ModelChange, ModelName, TagChanges, VersionOrigin
from headgate.registry.models import NewModel, Registry

PREFIX = "/api/2.0/mlflow/unity-catalog"
_FLAG = "is_databricks_sdk_models_artifact_repository_enabled"


class Tag(Arguments):
    key: str
    value: str = ""


class ModelNamed(Arguments):
    name: str

    @property
    def securable(self) -> Securable:
        """What `Operation.needs` is needed on."""
        return ModelName.parse(self.name).securable


class CreateModel(ModelNamed):
    description: str | None = None
    tags: list[Tag] = Field(default_factory=list)


class UpdateModel(ModelNamed):
    new_name: str | None = None
    description: str | None = None


class ModelTag(ModelNamed, Tag):
    pass


class TagKey(ModelNamed):
    key: str


class Alias(ModelNamed):
    alias: str


class AliasTo(Alias):
    version: str


class VersionNamed(ModelNamed):
    version: str


class CreateVersion(ModelNamed):
    source: str | None = None
    run_id: str | None = Field(None, max_length=256)
    run_tracking_server_id: str | None = Field(None, max_length=256)
    model_id: str | None = Field(None, max_length=256)
    description: str | None = None
    tags: list[Tag] = Field(default_factory=list)


class UpdateVersion(VersionNamed):
    description: str | None = None


class VersionTag(VersionNamed, Tag):
    pass


class VersionTagKey(VersionNamed):
    key: str


class Credentials(VersionNamed):
    operation: str = "MODEL_VERSION_OPERATION_READ"


class Nothing(Arguments):
    pass


def _create_model(asking: Asking, sent: CreateModel) -> dict[str, Any]:
    tags = {tag.key: tag.value for tag in sent.tags}
    new = asking.may_make(NewModel(sent.name, asking.author, sent.description or "", tags))
    return {"registered_model": model_json(asking.registry.create_model(new))}


def _get_model(asking: Asking, sent: ModelNamed) -> dict[str, Any]:
    return {"registered_model": model_json(asking.registry.model(sent.name))}


def _update_model(asking: Asking, sent: UpdateModel) -> dict[str, Any]:
    new_name = ModelName.parse(sent.name).renamed(sent.new_name) if sent.new_name else None
    change = ModelChange(description=sent.description, name=new_name)
    return {"registered_model": model_json(asking.registry.change_model(sent.name, change, asking.author))}


def _delete_model(asking: Asking, sent: ModelNamed) -> dict[str, Any]:
    asking.registry.delete_model(sent.name)
    return {}


def _set_model_tag(asking: Asking, sent: ModelTag) -> dict[str, Any]:
    asking.registry.change_model_tags(sent.name, TagChanges({sent.key: sent.value}), asking.author)
    return {}


def _delete_model_tag(asking: Asking, sent: TagKey) -> dict[str, Any]:
    asking.registry.change_model_tags(sent.name, TagChanges(removed=frozenset({sent.key})), asking.author)
    return {}


def _set_alias(asking: Asking, sent: AliasTo) -> dict[str, Any]:
    asking.registry.set_alias(sent.name, sent.alias, sent.version, asking.author)
    return {}


def _delete_alias(asking: Asking, sent: Alias) -> dict[str, Any]:
    asking.registry.delete_alias(sent.name, sent.alias, asking.author)
    return {}


def _get_by_alias(asking: Asking, sent: Alias) -> dict[str, Any]:
    return {"model_version": version_json(asking.registry.version_by_alias(sent.name, sent.alias))}


def _create_version(asking: Asking, sent: CreateVersion) -> dict[str, Any]:
    origin = VersionOrigin(
        source=sent.source or "",
        run_id=sent.run_id or "",
        run_tracking_server_id=sent.run_tracking_server_id or "",
        logged_model_id=sent.model_id or "",
        description=sent.description or "",
        tags={tag.key: tag.value for tag in sent.tags},
    )
    return {"model_version": version_json(asking.registry.create_version(sent.name, asking.author, origin))}


def _get_version(asking: Asking, sent: VersionNamed) -> dict[str, Any]:
    return {"model_version": version_json(asking.registry.version(sent.name, sent.version))}


def _update_version(asking: Asking, sent: UpdateVersion) -> dict[str, Any]:
    version = asking.registry.version(sent.name, sent.version)
    if sent.description is not None:
        version = asking.registry.describe_version(sent.name, sent.version, sent.description, asking.author)
    return {"model_version": version_json(version)}


def _finalize(asking: Asking, sent: VersionNamed) -> dict[str, Any]:
    asking.uploadable(sent.name, sent.version)
    return {"model_version": version_json(asking.registry.finalize_version(sent.name, sent.version))}


def _delete_version(asking: Asking, sent: VersionNamed) -> dict[str, Any]:
    asking.registry.delete_version(sent.name, sent.version, asking.author)
    return {}


def _set_version_tag(asking: Asking, sent: VersionTag) -> dict[str, Any]:
    asking.registry.change_version_tags(sent.name, sent.version, TagChanges({sent.key: sent.value}), asking.author)
    return {}


def _delete_version_tag(asking: Asking, sent: VersionTagKey) -> dict[str, Any]:
    changes = TagChanges(removed=frozenset({sent.key}))
    asking.registry.change_version_tags(sent.name, sent.version, changes, asking.author)
    return {}


def _download_uri(asking: Asking, sent: VersionNamed) -> dict[str, Any]:
    return {"artifact_uri": version_json(asking.registry.version(sent.name, sent.version))["storage_location"]}


def _credentials(asking: Asking, sent: Credentials) -> dict[str, Any]:
    writing = sent.operation.endswith("WRITE")
    asking.require_transfer(sent.name, sent.version, writing=writing)
    # The switch that makes clients move bytes with URLs of ours instead of a cloud's client library.
    return {"credentials": {"storage_mode": "DEFAULT_STORAGE"}}


def _flag(_asking: Asking, _sent: Nothing) -> dict[str, Any]:
    return {_FLAG: False}


def _nothing(_asking: Asking, _sent: Nothing) -> dict[str, Any]:
    return {}


OPERATIONS = (
    Operation("POST", "registered-models/create", CreateModel, _create_model, ASKED),
    Operation("GET", "registered-models/get", ModelNamed, _get_model, SEEN),
    Operation("GET", "registered-models/search", registry_search.SearchModels, registry_search.models, ASKED),
    Operation("PATCH", "registered-models/update", UpdateModel, _update_model, MANAGE),
    Operation("DELETE", "registered-models/delete", ModelNamed, _delete_model, MANAGE),
    Operation("POST", "registered-models/set-tag", ModelTag, _set_model_tag, APPLY_TAG),
    Operation("DELETE", "registered-models/delete-tag", TagKey, _delete_model_tag, APPLY_TAG),
    Operation("POST", "registered-models/alias", AliasTo, _set_alias, MANAGE),
    Operation("DELETE", "registered-models/alias", Alias, _delete_alias, MANAGE),
    Operation("GET", "registered-models/alias", Alias, _get_by_alias, SEEN),
    Operation("GET", f"registered-models:{_FLAG.replace('_', '-')}", Nothing, _flag, ASKED),
    Operation("POST", "model-versions/create", CreateVersion, _create_version, CREATE_MODEL_VERSION),
    Operation("GET", "model-versions/get", VersionNamed, _get_version, SEEN),
    Operation("GET", "model-versions/search", registry_search.SearchVersions, registry_search.versions, ASKED),
    Operation("PATCH", "model-versions/update", UpdateVersion, _update_version, MANAGE),
    Operation("POST", "model-versions/finalize", VersionNamed, _finalize, ASKED),
    Operation("DELETE", "model-versions/delete", VersionNamed, _delete_version, MANAGE),
    Operation("POST", "model-versions/set-tag", VersionTag, _set_version_tag, APPLY_TAG),
    Operation("DELETE", "model-versions/delete-tag", VersionTagKey, _delete_version_tag, APPLY_TAG),
    Operation("GET", "model-versions/get-download-uri", VersionNamed, _download_uri, EXECUTE),
    Operation("POST", "model-versions/generate-temporary-credentials", Credentials, _credentials, ASKED),
    Operation("POST", "model-versions/emit-lineage", Nothing, _nothing, ASKED),
)


def routes(registry: Registry) -> APIRouter:
    """The family."""
    return operations.router(registry, OPERATIONS, prefix=PREFIX, tag="Model registry")
