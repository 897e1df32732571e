"""MLflow's web pages below `/mlflow/`, and the few routes outside `/api` that its client for `http://…` looks for.

People come with the session cookie of their login, programs with a token. A write with a cookie must come from our own pages.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse, RedirectResponse

from headgate import errors
from headgate.access.principals import SESSION, Principal
from headgate.api.auditing import Record
from headgate.api.dependencies import ApiDependencies, base_url
from headgate.api.tracking.mlflow_api import check_open, require_workspace
from headgate.api.tracking.proxy import Tracking, body_of
from headgate.tracking import child, prompts, rewriting, rules

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_LOGIN = "/login"

SessionOf = Callable[[str | None], Principal | None]
"""Cookie header -> who is logged in."""

LINKS = ("/", "/ml", "/ml/{path:path}")
"""What clients print for people to open."""
ROUTES: tuple[tuple[str, str], ...] = (
    *((route.method, route.path) for route in (*rules.PAGES, *rules.OTLP)),
    *(("GET", path) for path in LINKS),
)
"""Every method and path that is answered here."""


def nobody(_cookie: str | None) -> Principal | None:
    """While there is no login, only tokens open the pages."""
    return None


def routes(tracking: Tracking, session_of: SessionOf = nobody) -> APIRouter:
    """The family. It authenticates by itself."""
    router = APIRouter()

    async def page(request: Request) -> Response:
        path: str = request.scope["path"]
        caller = _caller(request, session_of)
        if caller is None:
            return _to_login(request)
        require_workspace(caller)
        await _tell(request, caller)
        if path == child.PREFIX and not request.scope["raw_path"].split(b"?")[0].endswith(b"/"):
            # Its pages name their parts relative to this folder.
            return RedirectResponse(f"{child.PREFIX}/", 307)
        check_open(request.method, path, rules.PAGES)
        body = await body_of(request, tracking.body_bytes)
        plain = path.removeprefix(child.PREFIX).replace("/ajax-api/", "/api/", 1)
        if request.method != "GET" and plain.startswith(prompts.PATHS):
            prompts.check(plain, request.query_params, body)
        if "/mlflow/" in plain:
            body = rewriting.checked_body(plain.split("/mlflow/", 1)[1], body, caller.user_name)
        return await tracking.forward(request, f"{path}/" if path == child.PREFIX else path, body)

    async def link(request: Request) -> Response:
        """Links that clients print: `/ml/experiments/1` for `databricks`, `/#/experiments/1` for `http://…`."""
        if request.scope["path"] == "/" and "text/html" not in request.headers.get("accept", ""):
            # A program that asks for nothing in particular is told so; only people follow links.
            raise errors.EndpointNotFound(f"No API found for '{request.method} /'.")
        rest = request.scope["path"].removeprefix("/ml").strip("/")
        return RedirectResponse(f"{child.PREFIX}/#/{quote(rest)}" if rest else f"{child.PREFIX}/", 302)

    async def version(request: Request) -> Response:
        require_workspace(_authenticated(request, session_of))
        return PlainTextResponse(mlflow_version(tracking))

    async def spans(request: Request) -> Response:
        require_workspace(_authenticated(request, session_of))
        return await tracking.forward(request, "/v1/traces", await body_of(request, tracking.body_bytes))

    router.add_route(child.PREFIX, page, methods=["GET"], include_in_schema=False)
    router.add_route(child.PREFIX + "/{path:path}", page, methods=_METHODS, include_in_schema=False)
    for path in LINKS:
        router.add_route(path, link, methods=["GET"], include_in_schema=False)
    router.add_route("/version", version, methods=["GET"], include_in_schema=False)
    router.add_route("/v1/traces", spans, methods=["POST"], include_in_schema=False)
    return router


async def _tell(request: Request, caller: Principal) -> None:
    """The audit log, which the door could not tell who calls."""
    request.state.principal = caller
    record: Record | None = getattr(request.state, "audit", None)
    if record is not None:
        await record.begin()


def mlflow_version(tracking: Tracking) -> str:
    """Of the child; its clients choose by it how they send traces. Raises NotSupported."""
    tracking.require()
    return importlib.metadata.version("mlflow")


def _caller(request: Request, session_of: SessionOf) -> Principal | None:
    """None: a person who is not logged in opens a page."""
    header = request.headers.get("authorization")
    principal = None if header else session_of(request.headers.get("cookie"))
    if principal is not None:
        _check_origin(request)
        return principal
    if header is None and request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        return None
    return _authenticated(request, session_of)


def _authenticated(request: Request, session_of: SessionOf) -> Principal:
    """Raises Unauthenticated."""
    dependencies: ApiDependencies = request.app.state.dependencies
    principal = dependencies.authenticator.authenticate(request.headers.get("authorization"))
    if principal.credential == SESSION:
        _check_origin(request)
    return principal


def _check_origin(request: Request) -> None:
    """A browser sends the cookie whoever asks it to; what changes something must come from our pages. Raises PermissionDenied."""
    if request.method in ("GET", "HEAD"):
        return
    origin = request.headers.get("origin", "")
    ours = urlsplit(base_url(request.app.state.dependencies, request))
    told = urlsplit(origin)
    if (told.scheme, told.netloc) != (ours.scheme, ours.netloc):
        raise errors.PermissionDenied("This request comes from another site's page, or from none.")


def _to_login(request: Request) -> Response:
    query = request.url.query
    path: str = request.scope["path"]
    wanted = (f"{path}/" if path == child.PREFIX else path) + (f"?{query}" if query else "")
    return RedirectResponse(f"{_LOGIN}?return_to={quote(wanted, safe='')}", 302)
