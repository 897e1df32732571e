"""The REST application: every family behind one door. Built by the composition root for each server process."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer

from headgate import __version__
from headgate.api import (
    ai_gateway,
    audit,
    endpoint_attributes,
    endpoint_openapi,
    error_bodies,
    not_yet,
    secrets,
    served_model_logs,
    serving_endpoints,
    workspace,
)
from headgate.api.dependencies import ApiDependencies
from headgate.api.door import Door
from headgate.api.identity import scim, tokens
from headgate.api.permissions import catalog_grants, endpoint_creator, endpoint_permissions
from headgate.wire.error_body import ErrorBody

OPENAPI_PATH = "/api/2.0/openapi.json"


def create_app(
    dependencies: ApiDependencies, families: Sequence[APIRouter] = (), open_families: Sequence[APIRouter] = ()
) -> FastAPI:
    """The app with our own families and those given. `open_families` authenticate by themselves (signed URLs)."""
    app = FastAPI(
        title="Headgate",
        version=__version__,
        openapi_url=OPENAPI_PATH,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        strict_content_type=False,
        # "default" also keeps the framework from documenting a 422 that never happens.
        responses={"default": {"model": ErrorBody, "description": "What was wrong and what to do."}},
    )
    closed = [*_families(), *families]
    opened = [workspace.open_routes(), *open_families]
    app.state.dependencies = dependencies
    app.state.routes = _routes([*closed, *opened])
    # Only documents the scheme: the door authenticates, before a byte of the body is read.
    documented = [Depends(HTTPBearer(auto_error=False, description="An access token."))]
    for family in closed:
        app.include_router(family, dependencies=documented)
    for family in opened:
        app.include_router(family)
    error_bodies.install(app)
    app.add_middleware(Door, dependencies=dependencies, routes=app.state.routes, open_routes=_routes(opened))
    return app


def _routes(families: Sequence[APIRouter]) -> list[APIRoute]:
    return [route for family in families for route in family.routes if isinstance(route, APIRoute)]


def _families() -> list[APIRouter]:
    return [
        serving_endpoints.routes(),
        endpoint_attributes.routes(),
        ai_gateway.routes(),
        served_model_logs.routes(),
        endpoint_openapi.routes(),
        endpoint_permissions.routes(),
        endpoint_creator.routes(),
        catalog_grants.routes(),
        audit.routes(),
        secrets.routes(),
        scim.routes(),
        tokens.routes(),
        not_yet.routes(),
    ]
