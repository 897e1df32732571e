"""All routers of OAuth and logins. Mounted by the composition root and listed by the generated pages."""

from __future__ import annotations

from fastapi import APIRouter

from headgate.access.oauth.server import AuthorizationServer
from headgate.api.oauth import authorize, client_secrets, discovery, login, signing_keys, token_endpoint


def closed(server: AuthorizationServer) -> list[APIRouter]:
    """Behind the door."""
    return [client_secrets.routes(server), signing_keys.routes(server)]


def opened(server: AuthorizationServer) -> list[APIRouter]:
    """Those that authenticate by themselves, or let everybody ask."""
    return [discovery.routes(server), token_endpoint.routes(server), authorize.routes(server), login.routes(server)]
