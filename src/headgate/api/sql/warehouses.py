"""`/api/2.0/sql/warehouses`: the one built-in warehouse, for clients that look for an id to send with a statement."""

from __future__ import annotations

import hashlib
from typing import Any

from fastapi import APIRouter

from headgate import errors
from headgate.api.dependencies import Given

PREFIX = "/api/2.0/sql/warehouses"


def routes() -> APIRouter:
    """The family."""
    router = APIRouter(prefix=PREFIX, tags=["Queries"])
    router.get("")(list_warehouses)
    router.get("/{id}")(get_warehouse)
    return router


def warehouse_id(workspace_id: str) -> str:
    """Always the same, 16 hex digits."""
    return hashlib.sha256(f"warehouse of {workspace_id}".encode()).hexdigest()[:16]


def list_warehouses(dependencies: Given) -> dict[str, Any]:
    """All warehouses: one."""
    return {"warehouses": [_told(dependencies.workspace_id)]}


def get_warehouse(id: str, dependencies: Given) -> dict[str, Any]:
    """One warehouse."""
    if id != warehouse_id(dependencies.workspace_id):
        raise errors.ResourceDoesNotExist(
            f"The SQL warehouse {id} does not exist. GET {PREFIX} shows the one there is."
        )
    return _told(dependencies.workspace_id)


def _told(workspace_id: str) -> dict[str, Any]:
    return {
        "id": warehouse_id(workspace_id),
        "name": "headgate",
        "state": "RUNNING",
        "cluster_size": "2X-Small",
        "warehouse_type": "PRO",
        "enable_serverless_compute": True,
        "min_num_clusters": 1,
        "max_num_clusters": 1,
        "num_clusters": 1,
        "auto_stop_mins": 0,
        "health": {"status": "HEALTHY"},
    }
