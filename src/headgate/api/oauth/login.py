"""`/login`, `/login/callback`, `/logout`: a person's browser gets, and gives back, the session that other pages go by."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from headgate import errors
from headgate.access.oauth import browser_login, sessions
from headgate.access.oauth.browser_login import Arrival
from headgate.access.oauth.provider import LoginFailed
from headgate.access.oauth.server import AuthorizationServer
from headgate.access.oauth.sessions import CookieTerms, Sender, cookie_value, set_cookie
from headgate.api import in_force
from headgate.api.dependencies import ApiDependencies, Given, base_url
from headgate.api.oauth import pages
from headgate.api.oauth.forms import Form
from headgate.api.oauth.token_endpoint import address

_SHOWN = 300
"""Characters of what a provider says that are shown."""


class Login:
    """The handlers."""

    def __init__(self, server: AuthorizationServer) -> None:
        self._server = server

    def begin(self, request: Request, dependencies: Given, return_to: str = "/login") -> Response:
        """Log in with a browser, at the login provider or with an access token."""
        session = self._server.sessions.session_of(request.headers.get("cookie"))
        wanted = browser_login.safe_path(return_to)
        if session is not None:
            name = session.principal.display_name or session.principal.user_name
            return pages.logged_in(name) if wanted == "/login" else RedirectResponse(wanted, 303)
        if not self._server.login.has_provider:
            return pages.with_token(wanted)
        base = base_url(dependencies, request)
        try:
            departure = self._server.login.depart(base, wanted)
        except LoginFailed as problem:
            return pages.refused(request, str(problem), 503)
        leaving = RedirectResponse(departure.url, 303)
        _add_cookie(leaving, set_cookie(browser_login.COOKIE, departure.cookie, _on_the_way(base)))
        return leaving

    def come_back(self, request: Request, dependencies: Given) -> Response:
        """Where the login provider sends the browser back to."""
        given, base = request.query_params, base_url(dependencies, request)
        if "code" not in given or "state" not in given:
            told = " ".join(given.get(name, "")[:_SHOWN] for name in ("error", "error_description")).strip()
            return pages.refused(request, f"The login provider did not let you in{f': {told}' if told else ''}.", 403)
        cookie = cookie_value(request.headers.get("cookie"), browser_login.COOKIE)
        try:
            arrival = self._server.login.arrive(base, cookie, given["state"], given["code"])
        except LoginFailed as problem:
            return pages.refused(request, str(problem), 403)
        in_force.wait_until_known(dependencies)  # the next request may come to another server
        answer = _arrived(request, arrival)
        _add_cookie(answer, set_cookie(browser_login.COOKIE, "", CookieTerms(base, 0, browser_login.COOKIE_PATH)))
        return answer

    async def with_token(self, request: Request, form: Form, dependencies: Given) -> Response:
        """Log in with a personal access token, where there is no login provider."""
        token, return_to = form.get("token", ""), browser_login.safe_path(form.get("return_to", ""))
        try:
            check_sender(request, dependencies)
            base = base_url(dependencies, request)
            arrival = await run_in_threadpool(self._server.login.with_token, base, token, return_to)
            return _arrived(request, arrival)
        except errors.PermissionDenied as error:
            return pages.refused(request, error.message, 403)
        except LoginFailed as problem:
            await dependencies.attempts.hold(token, address(request))
            if "text/html" in request.headers.get("accept", ""):
                return pages.with_token(return_to, str(problem))
            return pages.refused(request, str(problem), 403)

    def leave(self, request: Request) -> Response:
        """Asks whether to log out; a mere link does not."""
        session = self._server.sessions.session_of(request.headers.get("cookie"))
        return pages.logged_out() if session is None else pages.logged_in(session.principal.user_name)

    def log_out(self, request: Request, dependencies: Given) -> Response:
        """Log out: the session's cookie is good nowhere any more."""
        try:
            check_sender(request, dependencies)
        except errors.PermissionDenied as error:
            return pages.refused(request, error.message, 403)
        cookie = request.headers.get("cookie")
        principal = self._server.sessions.principal_of(cookie)
        if principal is not None:
            request.state.principal = principal
        answer = pages.logged_out()
        _add_cookie(answer, self._server.sessions.end(cookie, base_url(dependencies, request)))
        return answer


def routes(server: AuthorizationServer) -> APIRouter:
    """The family."""
    router, handlers = APIRouter(tags=["login"], include_in_schema=False), Login(server)
    router.get("/login", response_model=None)(handlers.begin)
    router.post("/login", response_model=None, name="log_in")(handlers.with_token)
    router.get("/login/callback", response_model=None, name="log_in_at_provider")(handlers.come_back)
    router.get("/logout", response_model=None)(handlers.leave)
    router.post("/logout", response_model=None)(handlers.log_out)
    return router


def check_sender(request: Request, dependencies: ApiDependencies) -> None:
    """Nothing for what one of our own pages sent. Raises PermissionDenied."""
    headers = request.headers
    sender = Sender(request.method, headers.get("sec-fetch-site"), headers.get("origin"), headers.get("host"))
    sessions.check_same_origin(sender, dependencies.external_url)


def _arrived(request: Request, arrival: Arrival) -> Response:
    request.state.principal = arrival.principal
    answer = RedirectResponse(arrival.return_to, 303)
    _add_cookie(answer, arrival.session_cookie)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _on_the_way(base: str) -> CookieTerms:
    return CookieTerms(base, browser_login.LIFE_S, browser_login.COOKIE_PATH)


def _add_cookie(answer: Response, cookie: str) -> None:
    answer.headers.append("set-cookie", cookie)
