"""Which of MLflow's routes are open behind our door, and what happens to a request on its way. Pure.

Closed are all that are not listed: the server's own AI gateway and its keys, jobs, webhooks, assistants and workspaces, whatever reads
files or calls other hosts, and models in its registry (ours takes its place).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

_V2 = """
GET experiments/get-by-name
POST experiments/create
GET,POST experiments/search
GET experiments/get
POST experiments/delete
POST experiments/restore
POST experiments/update
POST experiments/set-experiment-tag
POST experiments/delete-experiment-tag
POST experiments/search-datasets
POST runs/create
POST runs/update
POST runs/delete
POST runs/restore
POST runs/log-metric
POST runs/log-parameter
POST runs/set-tag
POST runs/delete-tag
GET runs/get
POST runs/search
POST runs/log-batch
POST runs/log-model
POST runs/log-inputs
POST runs/outputs
GET artifacts/list
GET metrics/get-history
GET metrics/get-history-bulk-interval
GET,POST traces
PATCH traces/{request_id}
GET traces/{request_id}/info
PATCH,DELETE traces/{request_id}/tags
POST traces/link-to-run
POST traces/link-prompts
POST traces/delete-traces
POST logged-models
PATCH,GET,DELETE logged-models/{model_id}
POST logged-models/search
PATCH logged-models/{model_id}/tags
DELETE logged-models/{model_id}/tags/{tag_key}
GET logged-models/{model_id}/artifacts/directories
POST logged-models/{model_id}/params
"""

# Of MLflow's own registry, which holds prompts only, see `prompts`.
_PROMPTS = """
POST registered-models/create
PATCH registered-models/update
DELETE registered-models/delete
GET registered-models/get
GET registered-models/search
POST registered-models/set-tag
DELETE registered-models/delete-tag
GET,POST,DELETE registered-models/alias
POST model-versions/create
PATCH model-versions/update
DELETE model-versions/delete
GET model-versions/get
GET model-versions/search
POST model-versions/set-tag
DELETE model-versions/delete-tag
"""

_V3 = """
POST traces
GET traces/get
GET traces/batchGet
POST traces/batchGetInfos
POST traces/search
POST traces/delete-traces
POST traces/calculate-filter-correlation
POST traces/metrics
GET traces/{trace_id}
PATCH,DELETE traces/{trace_id}/tags
POST traces/{trace_id}/assessments
GET,PATCH,DELETE traces/{trace_id}/assessments/{assessment_id}
POST label-schemas/create
GET label-schemas/get
GET label-schemas/get-by-name
GET label-schemas/list
PATCH label-schemas/update
DELETE label-schemas/delete
POST issues
GET,PATCH issues/{issue_id}
POST issues/search
POST datasets/create
GET,POST datasets/search
GET,DELETE datasets/{dataset_id}
PATCH datasets/{dataset_id}/tags
DELETE datasets/{dataset_id}/tags/{key}
GET,POST,DELETE datasets/{dataset_id}/records
GET datasets/{dataset_id}/experiment-ids
POST datasets/{dataset_id}/add-experiments
POST datasets/{dataset_id}/remove-experiments
POST scorers/register
GET scorers/list
GET scorers/versions
GET scorers/get
DELETE scorers/delete
GET server-info
"""

_PAGES_ONLY = """
GET ajax-api/2.0/mlflow/metrics/get-history-bulk
GET ajax-api/2.0/mlflow/logged-models/{model_id}/artifacts/files
GET ajax-api/2.0/mlflow/get-trace-artifact
GET ajax-api/3.0/mlflow/get-trace-artifact
GET ajax-api/3.0/mlflow/ui-telemetry
GET ajax-api/3.0/mlflow/scorers/online-configs
POST graphql
GET get-artifact
GET static-files/{path:path}
GET version
GET ""
"""


@dataclass(frozen=True, slots=True)
class Route:
    """One method on one path of MLflow's server; parameters in braces."""

    method: str
    path: str


def _listed(text: str, prefix: str) -> tuple[Route, ...]:
    found = []
    for line in text.strip().splitlines():
        methods, path = line.split(" ")
        found += [Route(method, f"{prefix}/{path}".removesuffix('/""')) for method in methods.split(",")]
    return tuple(found)


API = (*_listed(_V2 + _PROMPTS.lstrip(), "/api/2.0/mlflow"), *_listed(_V3, "/api/3.0/mlflow"))
"""For clients, as they call them."""

OTLP = (Route("POST", "/v1/traces"), Route("GET", "/version"))
"""What clients of `http://…` look for outside `/api`."""

_AJAX = tuple(Route(route.method, route.path.replace("/api/", "/ajax-api/", 1)) for route in API)
PAGES = tuple(Route(route.method, f"/mlflow{route.path}") for route in (*API, *_AJAX, *_listed(_PAGES_ONLY, "")))
"""For the web pages."""


def is_open(method: str, path: str, routes: tuple[Route, ...]) -> bool:
    """Whether a request may go to the child."""
    return method in methods(path, routes)


def methods(path: str, routes: tuple[Route, ...]) -> frozenset[str]:
    """The methods a path allows; none when it is closed or unknown."""
    return frozenset(route.method for route, pattern in _patterns(routes) if pattern.fullmatch(path))


@cache
def _patterns(routes: tuple[Route, ...]) -> tuple[tuple[Route, re.Pattern[str]], ...]:
    return tuple((route, _pattern(route.path)) for route in routes)


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"(\{[^}]+\})", path)
    texts = [
        ".+" if part.endswith(":path}") else "[^/]+" if part.startswith("{") else re.escape(part) for part in parts
    ]
    return re.compile("".join(texts))
