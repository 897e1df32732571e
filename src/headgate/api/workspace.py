"""What clients ask about the server itself: where its identity provider is, which workspace it is."""

from __future__ import annotations

from fastapi import APIRouter, Request

from headgate.access import bootstrap
from headgate.api.dependencies import Given, base_url


def open_routes() -> APIRouter:
    """What is asked before a token is known."""
    router = APIRouter(tags=["workspace"])
    router.get("/.well-known/databricks-config")(config)
    return router


async def config(request: Request, dependencies: Given) -> dict[str, str]:
    """Host metadata. Clients ask before nearly every call; strictly typed ones drop it all when an id is a number."""
    return {
        "oidc_endpoint": f"{base_url(dependencies, request)}/oidc",
        "workspace_id": dependencies.workspace_id,
        "account_id": bootstrap.account_id(dependencies.workspace_id),
        "cloud": "AWS",
    }
