"""`/oidc/v1/authorize`: a person lets a program in. Who is not logged in is sent to `/login` first and comes back."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from headgate import errors
from headgate.access.oauth import authorizing
from headgate.access.oauth.authorizing import AuthorizationRequest
from headgate.access.oauth.refusals import Refusal
from headgate.access.oauth.server import AuthorizationServer
from headgate.access.oauth.sessions import Session
from headgate.api.dependencies import Given
from headgate.api.oauth import pages
from headgate.api.oauth.forms import Form, once
from headgate.api.oauth.login import check_sender
from headgate.store.oauth.logins import AuthorizationCode

_PATH = "/oidc/v1/authorize"
_MOST_FIELDS = 50


class Authorize:
    """The handlers."""

    def __init__(self, server: AuthorizationServer) -> None:
        self._server = server

    def ask(self, request: Request) -> Response:
        """Ask the person at the browser whether a program may act for them."""
        try:
            given = once(parse_qsl(request.url.query, keep_blank_values=True, max_num_fields=_MOST_FIELDS))
        except ValueError:
            return pages.refused(request, "The address has too many parameters.")
        except Refusal as refusal:
            return pages.refused(request, refusal.description)
        wanted = self._read(request, given)
        if isinstance(wanted, Response):
            return wanted
        session = self._session(request)
        if session is None:
            again = f"{_PATH}?{urlencode(wanted.fields())}"
            return RedirectResponse(f"/login?{urlencode({'return_to': again})}", 303)
        to = wanted.destination
        return pages.consent(session.principal.user_name, to.client_id, wanted.fields(), to.web_origin)

    def answer(self, request: Request, form: Form, dependencies: Given) -> Response:
        """What the person answered."""
        try:
            check_sender(request, dependencies)
        except errors.PermissionDenied as error:
            return pages.refused(request, error.message, 403)
        wanted = self._read(request, form)
        if isinstance(wanted, Response):
            return wanted
        session = self._session(request)
        if session is None:
            return pages.refused(request, "You are not logged in any more. Start the program's login again.")
        to = wanted.destination
        request.state.principal = session.principal
        request.state.audit_object = to.client_id
        if form.get("answer") != "allow":
            denied = {"error": "access_denied", "error_description": "The person at the browser said no."}
            return RedirectResponse(to.with_answer(denied), 303)
        code = AuthorizationCode(
            "", session.principal.id, to.client_id, to.redirect_uri, wanted.challenge, wanted.scope, 0, session.origin
        )
        value = self._server.issuing.code(session.principal, code)
        return RedirectResponse(to.with_answer({"code": value}), 303)

    def _read(self, request: Request, given: Any) -> AuthorizationRequest | Response:
        """The request, or who is told what is wrong with it."""
        try:
            to = authorizing.destination(given, self._server.public_clients)
        except Refusal as refusal:
            return pages.refused(request, refusal.description)
        try:
            return authorizing.request(given, to)
        except Refusal as refusal:
            return RedirectResponse(to.with_answer(refusal.body()), 303)

    def _session(self, request: Request) -> Session | None:
        return self._server.sessions.session_of(request.headers.get("cookie"))


def routes(server: AuthorizationServer) -> APIRouter:
    """The family."""
    router, handlers = APIRouter(tags=["login"], include_in_schema=False), Authorize(server)
    router.get(_PATH, response_model=None)(handlers.ask)
    router.post(_PATH, response_model=None, name="let_program_in")(handlers.answer)
    return router
