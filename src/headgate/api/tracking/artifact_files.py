"""Artifacts through the Files API, `/api/2.0/fs/…/WorkspaceInternal/Mlflow/Artifacts/…`: what clients of `databricks` use first.

Mount it before the registry's files, whose paths include these. `signed_routes` carry their permission in the URL.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope

from headgate import errors
from headgate.api.dependencies import Caller, base_url
from headgate.api.model_registry.byte_ranges import answer_with
from headgate.api.model_registry.file_uploads import receive_into
from headgate.api.tracking.artifact_store import ArtifactStore
from headgate.api.tracking.mlflow_api import require_workspace
from headgate.registry import signing
from headgate.registry.signing import UrlSigner
from headgate.tracking import locations
from headgate.tracking.locations import FILES_ROOT, Artifact

FILES = f"/api/2.0/fs/files{FILES_ROOT}"
DIRECTORIES = f"/api/2.0/fs/directories{FILES_ROOT}"


def workspace_only(caller: Caller) -> None:
    """Raises PermissionDenied for whom tracking is not."""
    require_workspace(caller)


def routes(store: ArtifactStore, signer: UrlSigner) -> APIRouter:
    """What needs a token."""
    router = APIRouter(tags=["Tracking"], dependencies=[Depends(workspace_only)])
    _add_file_routes(router, store)
    _add_directory_routes(router, store)
    for kind in ("upload", "download"):
        _add_url_route(router, kind, signer)
    return router


def signed_routes(store: ArtifactStore, signer: UrlSigner) -> APIRouter:
    """What needs a signed URL and no token."""
    router = APIRouter(tags=["Tracking"])

    def checked(path: str, request: Request) -> str:
        signer.check(request.method, f"{FILES_ROOT}{path}", request.query_params)
        return path

    @router.put(signing.PREFIX + FILES_ROOT + "{path:path}")
    async def upload_signed(request: Request, path: str = Depends(checked)) -> Response:
        """Upload one artifact."""
        await receive(request, store, locations.of_files_path(path))
        return Response()

    @router.head(signing.PREFIX + FILES_ROOT + "{path:path}", include_in_schema=False)
    @router.get(signing.PREFIX + FILES_ROOT + "{path:path}")
    def download_signed(request: Request, path: str = Depends(checked)) -> Response:
        """Download one artifact, or a range of it."""
        return answer(request, store, locations.of_files_path(path))

    return router


async def receive(request: Request, store: ArtifactStore, file: Artifact) -> None:
    """Stores the whole body or nothing."""
    await receive_into(request, lambda: store.begin(file), file.path)


def answer(request: Request, store: ArtifactStore, file: Artifact) -> Response:
    """The file, or a range of it."""
    found = store.file(file)
    return answer_with(request, found, file.path, lambda start, size: store.read(file, start, size))


def files_path(artifact: Artifact) -> str:
    """The Files API's name of an artifact; inverse of `locations.of_files_path`."""
    owner, slash, inner = artifact.path.partition("/")
    kind = f"LoggedModels{slash}{inner}" if owner == "logged_models" else f"Runs/{artifact.path}"
    return f"{FILES_ROOT}{artifact.experiment_id}/{kind}"


def _add_file_routes(router: APIRouter, store: ArtifactStore) -> None:
    @router.put(FILES + "{path:path}", status_code=204)
    async def upload_artifact(path: str, request: Request) -> Response:
        """Upload one artifact."""
        await receive(request, store, locations.of_files_path(path))
        return Response(status_code=204)

    @router.head(FILES + "{path:path}", include_in_schema=False)
    @router.get(FILES + "{path:path}")
    def download_artifact(path: str, request: Request) -> Response:
        """Download one artifact, or a range of it."""
        return answer(request, store, locations.of_files_path(path))

    @router.delete(FILES + "{path:path}", status_code=204)
    def delete_artifact(path: str) -> Response:
        """Delete one artifact."""
        store.remove(Artifact(*_file_of(store, path)))
        return Response(status_code=204)

    @router.post(FILES + "{path:path}")
    def initiate_artifact_upload(path: str, action: str = "") -> JSONResponse:
        """Answered for the sake of clients that try multipart uploads first; the next step tells them to send one PUT."""
        if action != "initiate-upload":
            raise errors.InvalidParameterValue(f"Invalid action {action!r}: only initiate-upload is known.")
        locations.of_files_path(path)
        return JSONResponse({"multipart_upload": {"session_token": "one-put"}})


def _file_of(store: ArtifactStore, path: str) -> tuple[str, str]:
    file = locations.of_files_path(path)
    store.file(file)
    return file.experiment_id, file.path


def _add_directory_routes(router: APIRouter, store: ArtifactStore) -> None:
    @router.get(DIRECTORIES + "{path:path}")
    def list_artifact_directory(path: str) -> dict[str, Any]:
        """What is directly in a folder of artifacts."""
        shown = f"{FILES_ROOT}{path.strip('/')}"
        entries = store.entries(locations.of_files_path(path))
        return {"contents": [_entry(shown, entry) for entry in entries]}

    @router.head(DIRECTORIES + "{path:path}", include_in_schema=False)
    def artifact_directory_exists(path: str) -> Response:
        """Whether there is such a folder."""
        store.entries(locations.of_files_path(path))
        return Response()

    @router.put(DIRECTORIES + "{path:path}", status_code=204)
    def make_artifact_directory(path: str) -> Response:
        """Folders come into being with their first file: nothing to do."""
        locations.of_files_path(path)
        return Response(status_code=204)


def _entry(folder: str, entry: Any) -> dict[str, Any]:
    name = entry.path.rpartition("/")[2]
    shown: dict[str, Any] = {"path": f"{folder}/{name}", "name": name, "is_directory": entry.is_folder}
    if not entry.is_folder:
        shown["file_size"] = entry.size_bytes
    return {**shown, "last_modified": entry.modified_at_ms}


class _UrlRoute(APIRoute):
    """Only for artifacts: databricks-sdk names the path in the query. Other paths are not ours."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child = super().matches(scope)
        if match is Match.FULL and FILES_ROOT not in Request(scope).query_params.get("path", ""):
            return Match.NONE, {}
        return match if match is Match.FULL else Match.NONE, child


def _add_url_route(router: APIRouter, kind: str, signer: UrlSigner) -> None:
    method = {"upload": "PUT", "download": "GET"}[kind]

    async def make_url(request: Request, path: str) -> JSONResponse:
        """A URL for one artifact."""
        file = locations.of_files_path(path.removeprefix(FILES_ROOT))
        base = base_url(request.app.state.dependencies, request)
        return JSONResponse({"url": signer.url(base, method, files_path(file)), "headers": []})

    url = f"/api/2.0/fs/create-{kind}-url"
    router.add_api_route(
        url,
        make_url,
        methods=["POST"],
        include_in_schema=False,
        name=f"artifact_{kind}_url",
        route_class_override=_UrlRoute,
    )
