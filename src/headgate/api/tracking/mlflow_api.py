"""MLflow's tracking API, `/api/{2,3}.0/mlflow/…`: checked, told who calls, and sent on to MLflow's own server.

Routes are Starlette's, not FastAPI's: their shapes are MLflow's business. `ROUTES` lists what is answered.
"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from headgate import errors
from headgate.access.principals import Principal
from headgate.api.tracking.proxy import Tracking, body_of
from headgate.tracking import prompts, rewriting, rules

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
PREFIXES = ("/api/2.0/mlflow/", "/api/3.0/mlflow/")

ROUTES: tuple[tuple[str, str], ...] = tuple((route.method, route.path) for route in rules.API)
"""Every method and path that is sent on."""


def routes(tracking: Tracking) -> APIRouter:
    """The family. Mount it after those that answer some of these paths themselves."""

    async def answer(request: Request) -> Response:
        caller: Principal = request.state.principal
        return await send_on(tracking, request, caller, request.scope["path"])

    router = APIRouter(lifespan=tracking.lifespan)
    for prefix in PREFIXES:
        router.add_route(prefix + "{path:path}", answer, methods=_METHODS, include_in_schema=False)
    return router


async def send_on(tracking: Tracking, request: Request, caller: Principal, path: str) -> Response:
    """The child's answer to a request for `path`, a route of the API. Raises what the door answers."""
    require_workspace(caller)
    check_open(request.method, path, rules.API)
    body = await body_of(request, tracking.body_bytes)
    if path.startswith(prompts.PATHS):
        prompts.check(path, request.query_params, body)
    body = rewriting.checked_body(path.split("/mlflow/", 1)[1], body, caller.user_name)
    return await tracking.forward(request, path, body)


def require_workspace(caller: Principal) -> None:
    """Every user of the workspace may track; what is good for one endpoint only may not. Raises PermissionDenied."""
    if caller.endpoint_id is not None:
        raise errors.PermissionDenied("This token is good for querying one endpoint only, not for experiment tracking.")


def check_open(method: str, path: str, routes: tuple[rules.Route, ...]) -> None:
    """Raises EndpointNotFound and MethodNotAllowed."""
    strange = any(part in (".", "..") for part in path.split("/"))
    allowed = frozenset() if strange else rules.methods(path, routes)
    if not allowed:
        # MLflow's clients fall back to an older route on exactly this.
        raise errors.EndpointNotFound(f"No API found for '{method} {path}'.")
    if method not in allowed and not (method == "HEAD" and "GET" in allowed):
        named = ", ".join(sorted(allowed))
        raise errors.MethodNotAllowed(
            f"No API found for '{method} {path}'; this path allows {named}.", headers={"Allow": named}
        )
