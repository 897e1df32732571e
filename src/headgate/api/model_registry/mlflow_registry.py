"""The Unity-Catalog-flavoured MLflow registry, `/api/2.0/mlflow/unity-catalog/…`: what `MLFLOW_REGISTRY_URI=databricks-uc` speaks.

Wire shape in, `registry.models.Registry` asked, wire shape out; files travel over `files`. Shapes are MLflow's
`databricks_uc_registry_messages`; absent fields are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse
from pydantic import Field

from headgate.api.dependencies import Caller
from headgate.api.model_registry import arguments, registry_search
from headgate.api.model_registry.arguments import Arguments
from headgate.api.model_registry.registry_shapes import model_json, version_json
from headgate.domain.registered_model import VersionOrigin
from headgate.registry.models import NewModel, Registry

PREFIX = "/api/2.0/mlflow/unity-catalog"
_FLAG = "is_databricks_sdk_models_artifact_repository_enabled"


class Tag(Arguments):
    key: str
    value: str = ""


class ModelNamed(Arguments):
    name: str


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


def _create_model(registry: Registry, sent: CreateModel, author: str) -> dict[str, Any]:
    tags = {tag.key: tag.value for tag in sent.tags}
    model = registry.create_model(NewModel(sent.name, author, sent.description or "", tags))
    return {"registered_model": model_json(model)}


def _get_model(registry: Registry, sent: ModelNamed, _author: str) -> dict[str, Any]:
    return {"registered_model": model_json(registry.model(sent.name))}


def _update_model(registry: Registry, sent: UpdateModel, _author: str) -> dict[str, Any]:
    model = registry.model(sent.name)
    if sent.description is not None:
        model = registry.describe_model(sent.name, sent.description)
    if sent.new_name:
        model = registry.rename_model(sent.name, sent.new_name)
    return {"registered_model": model_json(model)}


def _delete_model(registry: Registry, sent: ModelNamed, _author: str) -> dict[str, Any]:
    registry.delete_model(sent.name)
    return {}


def _set_model_tag(registry: Registry, sent: ModelTag, _author: str) -> dict[str, Any]:
    registry.set_model_tag(sent.name, sent.key, sent.value)
    return {}


def _delete_model_tag(registry: Registry, sent: TagKey, _author: str) -> dict[str, Any]:
    registry.delete_model_tag(sent.name, sent.key)
    return {}


def _set_alias(registry: Registry, sent: AliasTo, _author: str) -> dict[str, Any]:
    registry.set_alias(sent.name, sent.alias, sent.version)
    return {}


def _delete_alias(registry: Registry, sent: Alias, _author: str) -> dict[str, Any]:
    registry.delete_alias(sent.name, sent.alias)
    return {}


def _get_by_alias(registry: Registry, sent: Alias, _author: str) -> dict[str, Any]:
    return {"model_version": version_json(registry.version_by_alias(sent.name, sent.alias))}


def _create_version(registry: Registry, sent: CreateVersion, author: str) -> dict[str, Any]:
    origin = VersionOrigin(
        source=sent.source or "",
        run_id=sent.run_id or "",
        run_tracking_server_id=sent.run_tracking_server_id or "",
        logged_model_id=sent.model_id or "",
        description=sent.description or "",
        tags={tag.key: tag.value for tag in sent.tags},
    )
    return {"model_version": version_json(registry.create_version(sent.name, author, origin))}


def _get_version(registry: Registry, sent: VersionNamed, _author: str) -> dict[str, Any]:
    return {"model_version": version_json(registry.version(sent.name, sent.version))}


def _update_version(registry: Registry, sent: UpdateVersion, _author: str) -> dict[str, Any]:
    version = registry.version(sent.name, sent.version)
    if sent.description is not None:
        version = registry.describe_version(sent.name, sent.version, sent.description)
    return {"model_version": version_json(version)}


def _finalize(registry: Registry, sent: VersionNamed, _author: str) -> dict[str, Any]:
    return {"model_version": version_json(registry.finalize_version(sent.name, sent.version))}


def _delete_version(registry: Registry, sent: VersionNamed, _author: str) -> dict[str, Any]:
    registry.delete_version(sent.name, sent.version)
    return {}


def _set_version_tag(registry: Registry, sent: VersionTag, _author: str) -> dict[str, Any]:
    registry.set_version_tag(sent.name, sent.version, (sent.key, sent.value))
    return {}


def _delete_version_tag(registry: Registry, sent: VersionTagKey, _author: str) -> dict[str, Any]:
    registry.delete_version_tag(sent.name, sent.version, sent.key)
    return {}


def _download_uri(registry: Registry, sent: VersionNamed, _author: str) -> dict[str, Any]:
    return {"artifact_uri": version_json(registry.version(sent.name, sent.version))["storage_location"]}


def _credentials(registry: Registry, sent: Credentials, _author: str) -> dict[str, Any]:
    registry.check_transfer(sent.name, sent.version, writing=sent.operation.endswith("WRITE"))
    # The switch that makes clients move bytes with URLs of ours instead of a cloud's client library.
    return {"credentials": {"storage_mode": "DEFAULT_STORAGE"}}


def _flag(_registry: Registry, _sent: Nothing, _author: str) -> dict[str, Any]:
    return {_FLAG: False}


def _nothing(_registry: Registry, _sent: Nothing, _author: str) -> dict[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class Operation:
    """One route: what it reads and what answers it."""

    method: str
    path: str
    arguments: type[Arguments]
    answer: Callable[[Registry, Any, str], dict[str, Any]]


OPERATIONS = (
    Operation("POST", "registered-models/create", CreateModel, _create_model),
    Operation("GET", "registered-models/get", ModelNamed, _get_model),
    Operation("GET", "registered-models/search", registry_search.SearchModels, registry_search.models),
    Operation("PATCH", "registered-models/update", UpdateModel, _update_model),
    Operation("DELETE", "registered-models/delete", ModelNamed, _delete_model),
    Operation("POST", "registered-models/set-tag", ModelTag, _set_model_tag),
    Operation("DELETE", "registered-models/delete-tag", TagKey, _delete_model_tag),
    Operation("POST", "registered-models/alias", AliasTo, _set_alias),
    Operation("DELETE", "registered-models/alias", Alias, _delete_alias),
    Operation("GET", "registered-models/alias", Alias, _get_by_alias),
    Operation("GET", f"registered-models:{_FLAG.replace('_', '-')}", Nothing, _flag),
    Operation("POST", "model-versions/create", CreateVersion, _create_version),
    Operation("GET", "model-versions/get", VersionNamed, _get_version),
    Operation("GET", "model-versions/search", registry_search.SearchVersions, registry_search.versions),
    Operation("PATCH", "model-versions/update", UpdateVersion, _update_version),
    Operation("POST", "model-versions/finalize", VersionNamed, _finalize),
    Operation("DELETE", "model-versions/delete", VersionNamed, _delete_version),
    Operation("POST", "model-versions/set-tag", VersionTag, _set_version_tag),
    Operation("DELETE", "model-versions/delete-tag", VersionTagKey, _delete_version_tag),
    Operation("GET", "model-versions/get-download-uri", VersionNamed, _download_uri),
    Operation("POST", "model-versions/generate-temporary-credentials", Credentials, _credentials),
    Operation("POST", "model-versions/emit-lineage", Nothing, _nothing),
)


def routes(registry: Registry) -> APIRouter:
    """The family."""
    router = APIRouter(prefix=PREFIX, tags=["Model registry"])
    for operation in OPERATIONS:
        router.add_api_route(
            f"/{operation.path}",
            _endpoint(registry, operation),
            methods=[operation.method],
            name=f"{operation.method} {operation.path}",
            openapi_extra=_documented(operation),
        )
    return router


def _endpoint(registry: Registry, operation: Operation) -> Callable[..., Any]:
    read = arguments.reader(operation.arguments)

    # Not async: FastAPI runs it in a thread, so that the database and the disk hold up nobody.
    def answer(caller: Caller, sent: Arguments = Depends(read)) -> JSONResponse:
        return JSONResponse(operation.answer(registry, sent, caller.user_name))

    return answer


def _documented(operation: Operation) -> dict[str, Any]:
    schema = operation.arguments.model_json_schema()
    if operation.method == "GET":
        required = schema.get("required", [])
        properties = schema.get("properties", {})
        listed = [
            {"name": name, "in": "query", "required": name in required, "schema": property}
            for name, property in properties.items()
        ]
        return {"parameters": listed}
    return {"requestBody": {"content": {"application/json": {"schema": _inlined(schema)}}}}


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without references, which would point into the whole document."""
    definitions = schema.pop("$defs", {})

    def resolve(node: Any) -> Any:
        if isinstance(node, dict) and "$ref" in node:
            return resolve(definitions[node["$ref"].rpartition("/")[2]])
        if isinstance(node, dict):
            return {key: resolve(value) for key, value in node.items()}
        return [resolve(value) for value in node] if isinstance(node, list) else node

    resolved: dict[str, Any] = resolve(schema)
    return resolved
