"""Artifacts for clients of `http://…`: `/api/2.0/mlflow-artifacts/artifacts/…`, over the same files as the Files API."""

from __future__ import annotations

import posixpath
from typing import Any

from fastapi import APIRouter, Depends, Request, Response

from headgate import errors
from headgate.api.tracking.artifact_files import answer, receive, workspace_only
from headgate.api.tracking.artifact_store import ArtifactStore
from headgate.tracking import locations

PREFIX = "/api/2.0/mlflow-artifacts/artifacts"


def routes(store: ArtifactStore) -> APIRouter:
    """The family."""
    router = APIRouter(prefix=PREFIX, tags=["Tracking"], dependencies=[Depends(workspace_only)])

    @router.get("")
    def list_proxied_artifacts(path: str = "") -> dict[str, Any]:
        """What is directly in a folder of artifacts; nothing for a file."""
        folder = locations.of_path(path)
        try:
            entries = store.entries(folder)
        except errors.NotFound:
            return {"files": []}
        return {"files": [_shown(entry) for entry in entries]}

    @router.put("/{path:path}")
    async def upload_proxied_artifact(path: str, request: Request) -> dict[str, Any]:
        """Upload one artifact."""
        await receive(request, store, locations.of_path(path))
        return {}

    @router.get("/{path:path}")
    def download_proxied_artifact(path: str, request: Request) -> Response:
        """Download one artifact, or a range of it."""
        return answer(request, store, locations.of_path(path))

    @router.delete("/{path:path}")
    def delete_proxied_artifact(path: str) -> dict[str, Any]:
        """Delete an artifact, or a folder of them."""
        store.remove(locations.of_path(path))
        return {}

    return router


def _shown(entry: Any) -> dict[str, Any]:
    # Clients join the name to the folder they asked for.
    shown: dict[str, Any] = {"path": posixpath.basename(entry.path), "is_dir": entry.is_folder}
    return shown if entry.is_folder else {**shown, "file_size": entry.size_bytes}
