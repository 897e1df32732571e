"""What there is in the registry as Unity Catalog's `…Info` objects in JSON. Absent fields are left out."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from headgate.api.model_registry.asking import Asking
from headgate.domain.namespace import Namespace
from headgate.domain.registered_model import ModelName, ModelVersion, RegisteredModel

# Where a browser has told that it may only look.
_BROWSE_ONLY = {"browse_only": True}


def catalog_info(asking: Asking, catalog: Namespace, *, browse_only: bool = False) -> dict[str, Any]:
    """`CatalogInfo`."""
    return _present(
        {
            **_namespace(asking, catalog),
            "catalog_type": "MANAGED_CATALOG",
            "securable_type": "CATALOG",
            "isolation_mode": "OPEN",
            **(_BROWSE_ONLY if browse_only else {}),
        }
    )


def schema_info(asking: Asking, schema: Namespace, *, browse_only: bool = False) -> dict[str, Any]:
    """`SchemaInfo`."""
    return _present(
        {
            **_namespace(asking, schema),
            "catalog_name": schema.catalog,
            "catalog_type": "MANAGED_CATALOG",
            "schema_id": schema.id,
            "securable_type": "SCHEMA",
            **(_BROWSE_ONLY if browse_only else {}),
        }
    )


def _namespace(asking: Asking, namespace: Namespace) -> dict[str, Any]:
    return {
        "name": namespace.name,
        "full_name": namespace.full_name,
        "owner": asking.owner_name(namespace.owner_id),
        "comment": namespace.comment,
        "properties": dict(namespace.properties),
        "metastore_id": asking.metastore_id,
        "created_at": namespace.created_at_ms,
        "created_by": namespace.creator,
        "updated_at": namespace.updated_at_ms,
        "updated_by": namespace.updated_by,
    }


def model_info(asking: Asking, model: RegisteredModel, *, browse_only: bool = False) -> dict[str, Any]:
    """`RegisteredModelInfo`, without aliases and tags."""
    return _present(
        {
            **_place(model.name),
            "name": model.name.model,
            "full_name": model.name.full,
            "id": model.id,
            "owner": asking.owner_name(model.owner_id),
            "comment": model.description,
            "storage_location": f"models:/{model.name.full}",
            "metastore_id": asking.metastore_id,
            "created_at": model.created_at_ms,
            "created_by": model.creator,
            "updated_at": model.updated_at_ms,
            "updated_by": model.updated_by,
            **(_BROWSE_ONLY if browse_only else {}),
        }
    )


def version_info(asking: Asking, version: ModelVersion) -> dict[str, Any]:
    """`ModelVersionInfo`, without aliases and tags. `storage_location` is a URI that MLflow can download from."""
    origin = version.origin
    workspace = origin.run_tracking_server_id
    return _present(
        {
            **_place(version.name),
            "model_name": version.name.model,
            "version": version.version,
            # Made of the folder, which no rename changes and no other version ever has.
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, version.location)),
            "status": version.status.value,
            "comment": origin.description,
            "source": origin.source,
            "run_id": origin.run_id,
            "run_workspace_id": int(workspace) if workspace.isdecimal() and len(workspace) < 19 else "",
            "model_id": origin.logged_model_id,
            "model_version_dependencies": {"dependencies": list(origin.dependencies)} if origin.dependencies else "",
            "storage_location": f"models:/{version.name.full}/{version.version}",
            "metastore_id": asking.metastore_id,
            "created_at": version.created_at_ms,
            "created_by": version.creator,
            "updated_at": version.updated_at_ms,
            "updated_by": version.updated_by,
        }
    )


def aliases(name: ModelName, found: Mapping[str, int]) -> list[dict[str, Any]]:
    """`RegisteredModelAlias` of each."""
    return [{**_place(name), "model_name": name.model, "alias_name": key, "version_num": found[key]} for key in found]


def tags(found: Mapping[str, str]) -> list[dict[str, str]]:
    """As MLflow reads them."""
    return [{"key": key, "value": value} for key, value in found.items()]


def with_details(info: dict[str, Any], found: RegisteredModel | ModelVersion, *, with_aliases: bool) -> dict[str, Any]:
    """The same with what only the answer about one thing has."""
    if isinstance(found, RegisteredModel):
        named, labels = dict(found.aliases), found.tags
    else:
        named, labels = dict.fromkeys(found.aliases, found.version), found.origin.tags
    more = {"aliases": aliases(found.name, named) if with_aliases else [], "tags": tags(labels)}
    return {**info, **{field: value for field, value in more.items() if value}}


def _place(name: ModelName) -> dict[str, str]:
    return {"catalog_name": name.catalog, "schema_name": name.schema}


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in ("", {}, [])}
