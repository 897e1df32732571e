"""What clients ask before anything else: where tokens are got (RFC 8414) and which keys sign them (RFC 7517). Open to everybody."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from headgate.access.oauth import issuing
from headgate.access.oauth.keys import ALGORITHM
from headgate.access.oauth.server import AuthorizationServer
from headgate.api.dependencies import Given, base_url

_KEYS_PATH = "/oidc/jwks.json"


class Discovery:
    """The handlers."""

    def __init__(self, server: AuthorizationServer) -> None:
        self._server = server

    async def authorization_server(self, request: Request, dependencies: Given) -> dict[str, Any]:
        """Where tokens are got."""
        base = base_url(dependencies, request)
        return {
            "issuer": self._server.issuer_at(base),
            "authorization_endpoint": f"{base}/oidc/v1/authorize",
            "token_endpoint": f"{base}/oidc/v1/token",
            "jwks_uri": f"{base}{_KEYS_PATH}",
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": [
                issuing.CLIENT_CREDENTIALS, issuing.AUTHORIZATION_CODE, issuing.REFRESH_TOKEN, issuing.JWT_BEARER,
            ],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
            "code_challenge_methods_supported": ["S256"],
            "scopes_supported": list(issuing.SCOPES),
            "authorization_details_types_supported": ["workspace_permission"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [ALGORITHM],
        }  # fmt: skip

    async def keys(self, dependencies: Given) -> JSONResponse:
        """The public keys of tokens."""
        found = self._server.trust.now().jwks(dependencies.clock.now_ms())
        return JSONResponse(found, headers={"Cache-Control": "public, max-age=30"})


def routes(server: AuthorizationServer) -> APIRouter:
    """The family. AccountClients ask below their account's id."""
    router, handlers = APIRouter(tags=["authorization"]), Discovery(server)
    router.get("/oidc/.well-known/oauth-authorization-server")(handlers.authorization_server)
    router.get("/oidc/.well-known/openid-configuration", name="openid_configuration")(handlers.authorization_server)
    router.get(
        "/oidc/accounts/{account_id}/.well-known/oauth-authorization-server", name="account_authorization_server"
    )(handlers.authorization_server)
    router.get(_KEYS_PATH)(handlers.keys)
    return router
