"""The Files API for `/Models/…`: signed URLs, directory listings, file contents. Bytes are streamed, never held whole.

Files are uploaded to a version until it is finalized and can be read once it is READY. `signed_routes` carry their permission in
the URL and must be mounted without authentication.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from headgate import errors
from headgate.access.model_rights import ModelRights
from headgate.access.principals import Principal
from headgate.api.dependencies import Caller, Given, base_url
from headgate.api.model_registry import arguments, byte_ranges
from headgate.api.model_registry.arguments import Arguments
from headgate.api.model_registry.asking import Asking
from headgate.api.model_registry.file_uploads import receive
from headgate.domain.model_privileges import EXECUTE
from headgate.registry import paths, signing
from headgate.registry.models import Registry
from headgate.registry.paths import FilePath
from headgate.registry.signing import UrlSigner
from headgate.registry.storage import Entry
from headgate.registry.version_files import VersionFiles

PREFIX = "/api/2.0/fs"


class FileNamed(Arguments):
    path: str


@dataclass(frozen=True, slots=True)
class Shelf:
    """Files, and who may do what with them."""

    registry: Registry
    rights: ModelRights

    @property
    def files(self) -> VersionFiles:
        """Asked only after `readable` or `writable`."""
        return self.registry.files

    def readable(self, caller: Principal, file: FilePath) -> FilePath:
        """The file, if the caller has EXECUTE on its model. Raises ResourceDoesNotExist, PermissionDenied."""
        self.rights.require(caller, file.name.full, EXECUTE)
        return file

    def writable(self, caller: Principal, file: FilePath) -> FilePath:
        """The file, if the caller may upload to its version, now. Raises ResourceDoesNotExist, PermissionDenied, InvalidState."""
        asking = Asking(self.registry, self.rights, caller)
        asking.require_transfer(file.name.full, str(file.version), writing=True)
        return file


def routes(registry: Registry, rights: ModelRights, signer: UrlSigner) -> APIRouter:
    """What needs a token."""
    shelf = Shelf(registry, rights)
    router = APIRouter(prefix=PREFIX, tags=["Files"])
    _add_url_routes(router, shelf, signer)
    _add_directory_routes(router, shelf)
    _add_file_routes(router, shelf)
    return router


def signed_routes(registry: Registry, signer: UrlSigner) -> APIRouter:
    """What needs a signed URL and no token."""
    files = registry.files
    router = APIRouter(tags=["Files"])

    def checked(path: str, request: Request) -> str:
        signer.check(request.method, f"/{path}", request.query_params)
        return path

    @router.put(signing.PREFIX + "/{path:path}")
    async def upload(request: Request, path: str = Depends(checked)) -> Response:
        """Upload one file."""
        await receive(request, files, paths.parse_file(path))
        return Response()

    @router.head(signing.PREFIX + "/{path:path}", include_in_schema=False)
    @router.get(signing.PREFIX + "/{path:path}")
    def download(request: Request, path: str = Depends(checked)) -> Response:
        """Download one file, or a range of it."""
        return byte_ranges.answer(request, files, paths.parse_file(path))

    return router


def _add_url_routes(router: APIRouter, shelf: Shelf, signer: UrlSigner) -> None:
    read = arguments.reader(FileNamed)

    @router.post("/create-upload-url")
    def create_upload_url(
        request: Request, given: Given, caller: Caller, sent: FileNamed = Depends(read)
    ) -> dict[str, Any]:
        """A URL to PUT one file of a version that is not finalized yet."""
        request.state.audit_object = sent.path
        file = shelf.writable(caller, paths.parse_file(sent.path))
        return {"url": signer.url(base_url(given, request), "PUT", file.text), "headers": []}

    @router.post("/create-download-url")
    def create_download_url(
        request: Request, given: Given, caller: Caller, sent: FileNamed = Depends(read)
    ) -> dict[str, Any]:
        """A URL to GET one file."""
        request.state.audit_object = sent.path
        file = shelf.readable(caller, paths.parse_file(sent.path))
        byte_ranges.existing(shelf.files, file)
        return {"url": signer.url(base_url(given, request), "GET", file.text), "headers": []}


def _add_directory_routes(router: APIRouter, shelf: Shelf) -> None:
    @router.get("/directories/{path:path}")
    def list_directory(path: str, caller: Caller) -> dict[str, Any]:
        """What is directly in a folder of a version."""
        folder = shelf.readable(caller, paths.parse(path))
        entries = shelf.files.entries(folder.name, folder.version, folder.path)
        return {"contents": [_entry(folder, entry) for entry in entries]}

    @router.head("/directories/{path:path}", include_in_schema=False)
    def directory_exists(path: str, caller: Caller) -> Response:
        """Whether there is such a folder."""
        folder = shelf.readable(caller, paths.parse(path))
        shelf.files.entries(folder.name, folder.version, folder.path)
        return Response()


def _entry(folder: FilePath, entry: Entry) -> dict[str, Any]:
    name = entry.path.rpartition("/")[2]
    # Clients take the path relative to what they asked for, so it must begin as they wrote it.
    shown: dict[str, Any] = {"path": f"{folder.text}/{name}", "name": name, "is_directory": entry.is_folder}
    if not entry.is_folder:
        shown["file_size"] = entry.size_bytes
    return {**shown, "last_modified": entry.modified_at_ms}


def _add_file_routes(router: APIRouter, shelf: Shelf) -> None:
    @router.put("/files/{path:path}", status_code=204)
    async def upload(path: str, caller: Caller, request: Request) -> Response:
        """Upload one file of a version that is not finalized yet."""
        file = await run_in_threadpool(shelf.writable, caller, paths.parse_file(path))
        await receive(request, shelf.files, file)
        return Response(status_code=204)

    @router.head("/files/{path:path}", include_in_schema=False)
    @router.get("/files/{path:path}")
    def download(path: str, caller: Caller, request: Request) -> Response:
        """Download one file, or a range of it."""
        return byte_ranges.answer(request, shelf.files, shelf.readable(caller, paths.parse_file(path)))

    @router.delete("/files/{path:path}", status_code=204)
    def delete(path: str, caller: Caller) -> Response:
        """Delete one uploaded file of a version that is not finalized yet."""
        file = shelf.writable(caller, paths.parse_file(path))
        shelf.files.remove(file.name, file.version, file.path)
        return Response(status_code=204)

    @router.post("/files/{path:path}")
    def initiate_upload(path: str, caller: Caller, action: str = "") -> JSONResponse:
        """Answered for the sake of clients that try multipart uploads first; the next step tells them to send one PUT."""
        if action != "initiate-upload":
            raise errors.InvalidParameterValue(f"Invalid action {action!r}: only initiate-upload is known.")
        shelf.writable(caller, paths.parse_file(path))
        return JSONResponse({"multipart_upload": {"session_token": "one-put"}})
