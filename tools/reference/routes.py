"""docs/reference/routes.md: every route of the public port, read from the application, and the data plane's few."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from fastapi.routing import APIRoute
from tools.reference.markdown import code, table
from tools.reference.markdown import page as make_page

from headgate.api import app as api
from headgate.api import sql, unity_catalog
from headgate.api.model_registry import files, mlflow_registry
from headgate.api.oauth import families as oauth
from headgate.api.tracking import families as tracking
from headgate.gateway import paths

INTRODUCTION = """All on the one public port. Every route works with and without a slash at its end; an unknown one is answered 404
`ENDPOINT_NOT_FOUND`. Requests carry `Authorization: Bearer TOKEN`, but for `/health`, `/.well-known/` and signed URLs. The running
server describes its REST routes at `GET /api/2.0/openapi.json`."""


@dataclass(frozen=True, slots=True)
class Route:
    """`works` is false where the answer is only a clear "not yet"."""

    method: str
    path: str
    family: str
    summary: str = ""
    works: bool = True


_ASKED_AT = {
    paths.INVOCATIONS_PATH: "Query an endpoint; traffic is split as its config says.",
    paths.SERVED_MODEL_PATH: "Query one served entity, whatever the split.",
    paths.WORKSPACE_PATH: "The same where an endpoint that is route optimized says it is.",
}


def _inference(method: str, path: str) -> Route:
    if path in paths.BY_BODY:
        told = "Anthropic's" if path.endswith("/messages") else "OpenAI's"
        return Route(method, path, "Inference", f"{told} API; `model` is the endpoint's name.")
    one = "One of them." if path.endswith("/{id}") else "The endpoints that the caller may query, as models."
    return Route(method, path, "Inference", _ASKED_AT.get(path, one))


DATA_PLANE = (
    *(_inference(method, path) for method, path in paths.ROUTES),
    Route("GET", "/health", "Operation", "200 when requests can be served."),
    Route("GET", "/metrics", "Operation", "Metrics of the whole server, see metrics.md."),
)


def page() -> str:
    families: dict[str, list[Route]] = {}
    for route in all_routes():
        if route.works:
            families.setdefault(route.family, []).append(route)
    parts = [f"## {family}\n\n{_table(found)}" for family, found in families.items()]
    refused = [route for route in all_routes() if not route.works]
    parts.append(
        f"## Not yet\n\nAnswered 501 `NOT_IMPLEMENTED` when they are asked for something.\n\n{_table(refused)}"
    )
    return make_page("Routes", INTRODUCTION, *parts)


_PAGES = "Login"
"""Pages for people work, although our document of the API does not have them."""


@functools.cache
def all_routes() -> tuple[Route, ...]:
    return (*DATA_PLANE, *_api_routes())


def shape(path: str) -> str:
    """The path without the names of its parameters, to compare paths by."""
    return re.sub(r"\{[^}]*\}", "{}", path)


@functools.cache
def application() -> Any:
    """The REST application, composed of everything it can have."""
    return api.create_app(cast(Any, _Nobody()), *_families())


def unlisted() -> list[tuple[str, str]]:
    """(method, path) of routes that `application().state.routes` leaves out: those that pass what they are asked on."""
    plain = [route for families in _families() for family in families for route in family.routes]
    found = [route for route in plain if not isinstance(route, APIRoute)]
    return [(method, route.path) for route in found for method in route.methods - {"HEAD"}]


@functools.cache
def _families() -> tuple[list[Any], list[Any]]:
    """Those behind the door and those in front of it, as the composition root orders them."""
    closed = [_given_nobody(mlflow_registry.routes), *_given_nobody(tracking.closed), _given_nobody(files.routes)]
    opened = [*_given_nobody(tracking.opened), _given_nobody(files.signed_routes), *_given_nobody(oauth.opened)]
    closed += [_given_nobody(unity_catalog.routes), *_given_nobody(oauth.closed), *_given_nobody(sql.routes)]
    return closed, opened


def _given_nobody(routes: Callable[..., Any]) -> Any:
    return routes(*[_Nobody()] * len(inspect.signature(routes).parameters))


def _api_routes() -> Iterator[Route]:
    for route in application().state.routes:
        family = str(route.tags[0]).capitalize() if route.tags else "Other"
        summary = (route.endpoint.__doc__ or "").strip().split("\n")[0]
        for method in sorted(route.methods - {"HEAD"}):
            yield Route(method, route.path, family, summary, works=route.include_in_schema or family == _PAGES)


class _Nobody:
    """Stands for everything that routes are handed; none of them is called here."""

    def __getattr__(self, name: str) -> _Nobody:
        return self


def _table(found: list[Route]) -> str:
    rows = [(route.method, code(re.sub(r":path\}", "}", route.path)), route.summary) for route in found]
    return table(("", "Path", ""), rows)
