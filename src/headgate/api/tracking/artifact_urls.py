"""Signed URLs for artifacts as MLflow's `databricks` clients ask for them: of a run, a logged model or a trace.

Where an owner's artifacts lie is asked of the child, so that only what exists can be written to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

import orjson
from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from headgate import errors
from headgate.api.dependencies import Given, base_url
from headgate.api.tracking.artifact_files import files_path, workspace_only
from headgate.api.tracking.proxy import Tracking
from headgate.registry.signing import UrlSigner
from headgate.tracking import locations
from headgate.tracking.locations import Artifact
from headgate.tracking.upstream import Asked

# One PUT for a file of any size: for the other kinds of URL clients begin a multipart upload of their cloud's.
_TYPE = "GCP_SIGNED_URL"
_TRACE_DATA = "traces.json"
_MOST_PATHS = 2000
_NOTHING: Mapping[str, str] = {}


def _base(request: Request, given: Given) -> str:
    return base_url(given, request)


Base = Annotated[str, Depends(_base)]
"""Scheme and host that URLs begin with."""


class OfRun(BaseModel):
    run_id: str
    path: list[str] = Field(default_factory=list, max_length=_MOST_PATHS)


class OfModel(BaseModel):
    paths: list[str] = Field(default_factory=list, max_length=_MOST_PATHS)


@dataclass(frozen=True, slots=True)
class _Signing:
    tracking: Tracking
    signer: UrlSigner

    def info(self, base: str, method: str, file: Artifact, **more: str) -> dict[str, Any]:
        uri = self.signer.url(base, method, files_path(file))
        return {**more, "signed_uri": uri, "type": _TYPE, "headers": []}

    async def of_run(self, base: str, sent: OfRun, method: str) -> dict[str, Any]:
        answered = await _ask(self.tracking, "/api/2.0/mlflow/runs/get", {"run_id": sent.run_id})
        root = locations.of_uri(answered["run"]["info"]["artifact_uri"])
        found = [self.info(base, method, root.below(path), run_id=sent.run_id, path=path) for path in sent.path]
        return {"credential_infos": found}

    async def of_model(self, base: str, model_id: str, paths: Sequence[str], method: str) -> Any:
        answered = await _ask(self.tracking, f"/api/2.0/mlflow/logged-models/{model_id}")
        root = locations.of_uri(answered["model"]["info"]["artifact_uri"])
        return {
            "credentials": [{"credential_info": self.info(base, method, root.below(path), path=path)} for path in paths]
        }

    async def of_trace(self, base: str, trace_id: str, path: str | None, method: str) -> Any:
        root = await trace_root(self.tracking, trace_id)
        file = root.below(path or _TRACE_DATA)
        return {"credential_info": self.info(base, method, file)}


def routes(tracking: Tracking, signer: UrlSigner) -> APIRouter:
    """The family."""
    router = APIRouter(prefix="/api/2.0/mlflow", tags=["Tracking"], dependencies=[Depends(workspace_only)])
    to = _Signing(tracking, signer)
    _add_run_routes(router, to)
    _add_model_routes(router, to)
    _add_trace_routes(router, to)
    return router


def _add_run_routes(router: APIRouter, to: _Signing) -> None:
    @router.post("/artifacts/credentials-for-write")
    async def credentials_for_write(base: Base, sent: OfRun) -> dict[str, Any]:
        """URLs to PUT artifacts of a run."""
        return await to.of_run(base, sent, "PUT")

    @router.post("/artifacts/credentials-for-read")
    async def credentials_for_read(base: Base, sent: OfRun) -> dict[str, Any]:
        """URLs to GET artifacts of a run."""
        return await to.of_run(base, sent, "GET")


def _add_model_routes(router: APIRouter, to: _Signing) -> None:
    @router.post("/logged-models/{model_id}/artifacts/credentials-for-upload")
    async def credentials_for_upload(base: Base, model_id: str, sent: OfModel) -> dict[str, Any]:
        """URLs to PUT artifacts of a logged model."""
        return dict(await to.of_model(base, model_id, sent.paths, "PUT"))

    @router.post("/logged-models/{model_id}/artifacts/credentials-for-download")
    async def credentials_for_download(base: Base, model_id: str, sent: OfModel) -> dict[str, Any]:
        """URLs to GET artifacts of a logged model."""
        return dict(await to.of_model(base, model_id, sent.paths, "GET"))


def _add_trace_routes(router: APIRouter, to: _Signing) -> None:
    @router.get("/traces/{request_id}/credentials-for-data-upload")
    async def credentials_for_data_upload(base: Base, request_id: str, path: str | None = None) -> dict[str, Any]:
        """A URL to PUT the spans of a trace, or an attachment."""
        return dict(await to.of_trace(base, request_id, path, "PUT"))

    @router.get("/traces/{request_id}/credentials-for-data-download")
    async def credentials_for_data_download(base: Base, request_id: str, path: str | None = None) -> dict[str, Any]:
        """A URL to GET the spans of a trace, or an attachment."""
        return dict(await to.of_trace(base, request_id, path, "GET"))


async def trace_root(tracking: Tracking, trace_id: str) -> Artifact:
    """Where a trace's spans lie. Raises ResourceDoesNotExist."""
    info = await _trace_info(tracking, trace_id)
    location = info.get("tags", {}).get("mlflow.artifactLocation")
    return locations.of_uri(location) if location else locations.checked(_experiment(info), f"{trace_id}/artifacts")


async def experiment_of_trace(tracking: Tracking, trace_id: str) -> str:
    """The id of the experiment a trace is of. Raises ResourceDoesNotExist."""
    return _experiment(await _trace_info(tracking, trace_id))


async def _trace_info(tracking: Tracking, trace_id: str) -> Any:
    answered = await _ask(tracking, f"/api/3.0/mlflow/traces/{trace_id}")
    return answered["trace"]["trace_info"]


def _experiment(info: Any) -> str:
    return str(info["trace_location"]["mlflow_experiment"]["experiment_id"])


async def _ask(tracking: Tracking, path: str, query: Mapping[str, str] = _NOTHING) -> Any:
    """The child's JSON. Raises ResourceDoesNotExist, InvalidParameterValue, NotSupported, TemporarilyUnavailable."""
    answered = await tracking.ask(Asked("GET", path, urlencode(query).encode()))
    try:
        body = orjson.loads(await answered.read())
    except orjson.JSONDecodeError:
        body = {}
    finally:
        await answered.close()
    if answered.status == 200 and body:
        return body
    message = str(body.get("message", "The tracking server has nothing of that name."))
    if answered.status in (200, 404):
        raise errors.ResourceDoesNotExist(message)
    raise errors.InvalidParameterValue(message)
