"""`/api/2.1/unity-catalog`: catalogs, schemas, registered models and tags, as the SDKs and MLflow's native Unity Catalog store speak it."""

from __future__ import annotations

from fastapi import APIRouter

from headgate.api.model_registry import operations
from headgate.api.unity_catalog import metastore, model_versions, models, namespaces, tag_assignments
from headgate.registry.models import Registry

PREFIX = "/api/2.1/unity-catalog"
OPERATIONS = (
    *metastore.OPERATIONS,
    *namespaces.OPERATIONS,
    *models.OPERATIONS,
    *model_versions.OPERATIONS,
    *tag_assignments.OPERATIONS,
)


def routes(registry: Registry) -> APIRouter:
    """The families, on the same registry as MLflow's."""
    return operations.router(registry, OPERATIONS, prefix=PREFIX, tag="Unity Catalog")
