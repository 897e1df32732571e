"""What a served model's credential may ask for. Pure.

POST  /v1/traces                                  spans, with its experiment in the header
POST  /api/{2,3}.0/mlflow/traces                  a trace of its experiment
PATCH /api/2.0/mlflow/traces/{id}[/tags]          of its experiment, asked of the child first
PUT   /api/2.0/mlflow-artifacts/artifacts/…       spans and attachments of a trace of its experiment
GET   /version, /api/3.0/mlflow/server-info       what clients look at before
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headgate import errors
from headgate.tracking import locations

EXPERIMENT_HEADER = "x-mlflow-experiment-id"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts/"
_OPEN = (("GET", "/version"), ("GET", "/api/3.0/mlflow/server-info"))
_EXPERIMENT = "/api/2.0/mlflow/experiments/get"
# Where MLflow reads the experiment of a new trace: nothing else in the body may decide.
_CREATE = {
    "/api/2.0/mlflow/traces": ("experiment_id",),
    "/api/3.0/mlflow/traces": ("trace", "trace_info", "trace_location", "mlflow_experiment", "experiment_id"),
}
# Fields go by either name.
_TRACE_ID = ("trace_id", "traceId")
_CHANGE = re.compile(r"/api/[23]\.0/mlflow/traces/([0-9A-Za-z_-]+)(?:/tags)?")


@dataclass(frozen=True, slots=True)
class Allowed:
    """A request that may pass."""

    needs_body: bool = False
    """Its body decides, see `check_body`."""
    trace_id: str | None = None
    """It may pass if this trace is of the experiment."""


@dataclass(frozen=True, slots=True)
class Request:
    """As much of one as decides."""

    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case, or a mapping that does not mind."""
    query: Mapping[str, str]


def allowed(request: Request, experiment_id: str) -> Allowed:
    """Raises PermissionDenied."""
    method, path = request.method, request.path
    if (method, path) in _OPEN:
        return Allowed()
    if (method, path) == ("GET", _EXPERIMENT) and request.query.get("experiment_id") == experiment_id:
        return Allowed()
    if (method, path) == ("POST", "/v1/traces") and request.headers.get(EXPERIMENT_HEADER) == experiment_id:
        return Allowed()
    if method == "POST" and path in _CREATE:
        return Allowed(needs_body=True)
    if method == "PATCH" and (match := _CHANGE.fullmatch(path)):
        return Allowed(trace_id=match.group(1))
    if method == "PUT" and path.startswith(ARTIFACTS):
        file = locations.of_path(path.removeprefix(ARTIFACTS))
        if file.experiment_id == experiment_id and locations.is_of_trace(file):
            return Allowed()
    raise refused(experiment_id)


def check_body(path: str, body: bytes, experiment_id: str) -> str | None:
    """Of a new trace. The id it is to have, if it says one; that may be no trace of another experiment.

    Raises PermissionDenied, BadRequest.
    """
    try:
        sent = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise errors.BadRequest("The request body is not valid JSON.") from error
    *around, last = _CREATE[path]
    found: Any = sent
    for step in around:
        found = found.get(step) if isinstance(found, dict) else None
    if not isinstance(found, dict) or found.get(last) != experiment_id:
        raise refused(experiment_id)
    info = sent["trace"]["trace_info"] if "trace" in around else {}
    trace_id = next((info[name] for name in _TRACE_ID if info.get(name)), None)
    return None if trace_id is None else str(trace_id)


def refused(experiment_id: str) -> errors.PermissionDenied:
    """What everything else is answered."""
    return errors.PermissionDenied(
        f"This credential of a served model may only write traces into experiment {experiment_id}."
    )
