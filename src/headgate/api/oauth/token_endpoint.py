"""`/oidc/v1/token`: HTTP in, a grant of `access.oauth.issuing`, HTTP out in OAuth's own shape."""

from __future__ import annotations

import base64
import binascii

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from headgate import errors
from headgate.access.oauth.issuing import Ask
from headgate.access.oauth.refusals import Refusal, invalid_client, invalid_request
from headgate.access.oauth.server import AuthorizationServer
from headgate.api.dependencies import Given, base_url
from headgate.api.oauth.forms import Form

NOT_KEPT = {"Cache-Control": "no-store", "Pragma": "no-cache"}
"""Headers of every answer that holds something secret."""
_SHOWN = 100
"""Characters of what somebody calls themselves that are written down."""
_GUESSED = frozenset(("invalid_client", "invalid_grant"))
"""What is answered to somebody who tries secrets, codes or refresh tokens."""


class RefusalBody(BaseModel):
    """RFC 6749 §5.2."""

    error: str
    error_description: str


class TokenEndpoint:
    """The handler."""

    def __init__(self, server: AuthorizationServer) -> None:
        self._server = server

    async def token(self, request: Request, form: Form, dependencies: Given) -> JSONResponse:
        """Get a token: `client_credentials`, `authorization_code`, `refresh_token`, or the exchange of one for one endpoint."""
        base = base_url(dependencies, request)
        client_id, client_secret = _client(request, form)
        request.state.audit_object = client_id[:_SHOWN]
        ask = Ask(form, self._server.issuer_at(base), client_id, client_secret)
        try:
            try:
                issued = await run_in_threadpool(self._server.issuing.token, ask)
            except Refusal as refusal:
                if refusal.error in _GUESSED:
                    await dependencies.attempts.hold(client_secret or client_id or refusal.error, address(request))
                raise
        except errors.HeadgateError as error:
            told = Refusal("temporarily_unavailable", error.message, error.http_status)
            return JSONResponse(told.body(), told.status, headers={**NOT_KEPT, **error.headers})
        request.state.principal = issued.principal
        return JSONResponse(dict(issued.body), headers=NOT_KEPT)


def routes(server: AuthorizationServer) -> APIRouter:
    """The family."""
    router = APIRouter(tags=["authorization"])
    problem = {"model": RefusalBody, "description": "What was wrong and what to do, in OAuth's shape."}
    router.post("/oidc/v1/token", responses={"default": problem})(TokenEndpoint(server).token)
    return router


def address(request: Request) -> str:
    """Where a request comes from."""
    return "" if request.client is None else request.client.host


def _client(request: Request, form: Form) -> tuple[str, str]:
    """Id and secret. Raises Refusal when they come in two ways, or in none that is understood."""
    posted = form.get("client_id", ""), form.get("client_secret", "")
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return posted  # some client sends the token it has along
    try:
        user, colon, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        user = colon = password = ""
    if not colon:
        raise invalid_client("The Authorization header must be HTTP Basic, of client id and client secret.")
    if posted[1] or posted[0] not in ("", user):
        raise invalid_request("Send the client's id and secret once: with HTTP Basic, or in the form.")
    return user, password
