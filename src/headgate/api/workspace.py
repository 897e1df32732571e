"""What clients ask about the server itself: where its identity provider is, which workspace it is, who they are."""

from __future__ import annotations

import uuid
from typing import Any

from fastapi import APIRouter, Request

from headgate.api.dependencies import Caller, Given, base_url

_USER = "urn:ietf:params:scim:schemas:core:2.0:User"


def open_routes() -> APIRouter:
    """What is asked before a token is known."""
    router = APIRouter(tags=["workspace"])
    router.get("/.well-known/databricks-config")(config)
    return router


def routes() -> APIRouter:
    """The family."""
    router = APIRouter(tags=["workspace"])
    router.get("/api/2.0/preview/scim/v2/Me")(me)
    return router


async def config(request: Request, dependencies: Given) -> dict[str, str]:
    """Host metadata. Clients ask before nearly every call; strictly typed ones drop it all when an id is a number."""
    return {
        "oidc_endpoint": f"{base_url(dependencies, request)}/oidc",
        "workspace_id": dependencies.workspace_id,
        "account_id": str(uuid.uuid5(uuid.NAMESPACE_OID, dependencies.workspace_id)),
        "cloud": "AWS",
    }


async def me(caller: Caller) -> dict[str, Any]:
    """The caller, as SCIM shows users."""
    return {
        "schemas": [_USER],
        "id": caller.id,
        "userName": caller.user_name,
        "displayName": caller.user_name,
        "active": True,
        "emails": [{"value": caller.user_name, "type": "work", "primary": True}],
        "groups": [{"display": "admins", "value": "admins"}] if caller.admin else [],
    }
