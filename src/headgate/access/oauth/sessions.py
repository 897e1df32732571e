"""Sessions of people in a browser: a signed cookie that every server verifies in memory, and the guard against other sites using it.

Whoever answers a browser asks `Sessions.principal_of`, and `check_same_origin` before anything is changed (docs/decisions/0087).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from headgate import errors
from headgate.access.directory import Directory
from headgate.access.oauth.tokens import SESSION_TYPE, Tokens, Wish
from headgate.access.oauth.trust import Trust
from headgate.access.principals import SESSION, Principal, VerifiedToken
from headgate.clock import Clock

COOKIE = "headgate_session"

_LONGEST = 16384
"""Characters of a Cookie header that are looked at."""
_SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
_OF_OURS = frozenset(("same-origin", "none"))
"""`Sec-Fetch-Site` of what our own pages send, and of what somebody typed."""


@dataclass(frozen=True, slots=True)
class Session:
    """Who is logged in."""

    principal: Principal
    token_id: str
    expires_at_ms: int
    origin: str
    """Keyed hash of the access token they logged in with, which it does not outlive; empty: with a provider."""


@dataclass(frozen=True, slots=True)
class SessionNeeds:
    """What sessions are made from."""

    tokens: Tokens
    trust: Trust
    admit: Callable[[VerifiedToken], Principal]
    """`Authenticator.admit`."""
    directory: Callable[[], Directory]
    clock: Clock
    life_s: float


class Sessions:
    """Thread-safe, in memory."""

    def __init__(self, needs: SessionNeeds) -> None:
        self._needs = needs

    def principal_of(self, cookie_header: str | None) -> Principal | None:
        """Who is logged in, by the request's Cookie header; None: nobody (any more)."""
        session = self.session_of(cookie_header)
        return None if session is None else session.principal

    def session_of(self, cookie_header: str | None) -> Session | None:
        """The same with what is known about the session."""
        token = cookie_value(cookie_header, COOKIE)
        if not token:
            return None
        try:
            claims = self._needs.tokens.claims(token, SESSION_TYPE)
            principal = self._needs.admit(VerifiedToken(claims["sub"], float(claims["exp"]), SESSION, None))
        except errors.Unauthenticated:
            return None
        origin = str(claims.get("origin", ""))
        came_with = self._needs.directory().token(origin) if origin else None
        if origin and (came_with is None or came_with.has_expired(self._needs.clock.now_ms())):
            return None
        return Session(principal, claims["jti"], int(claims["exp"]) * 1000, origin)

    def start(self, principal: Principal, base_url: str, origin: str = "") -> str:
        """A Set-Cookie header's value that logs somebody in."""
        wish = Wish(principal.id, f"{base_url}/oidc", self._needs.life_s, SESSION_TYPE, {"origin": origin})
        return set_cookie(COOKIE, self._needs.tokens.issue(wish), CookieTerms(base_url, int(self._needs.life_s)))

    def end(self, cookie_header: str | None, base_url: str) -> str:
        """A Set-Cookie header's value that logs out; the cookie that was used is good nowhere any more."""
        session = self.session_of(cookie_header)
        if session is not None:
            self._needs.trust.revoke(session.token_id, session.expires_at_ms)
        return set_cookie(COOKIE, "", CookieTerms(base_url, 0))


@dataclass(frozen=True, slots=True)
class CookieTerms:
    """Where a cookie is sent, and for how long."""

    base_url: str
    max_age_s: int
    path: str = "/"


def set_cookie(name: str, value: str, terms: CookieTerms) -> str:
    """A Set-Cookie header's value. Scripts do not see the cookie, other sites do not send it with what they post."""
    secure = "; Secure" if terms.base_url.startswith("https://") else ""
    return f"{name}={value}; Max-Age={terms.max_age_s}; Path={terms.path}; HttpOnly; SameSite=Lax{secure}"


def cookie_value(cookie_header: str | None, name: str) -> str:
    """One cookie's value; empty when it is not there."""
    if not cookie_header or len(cookie_header) > _LONGEST:
        return ""
    for pair in cookie_header.split(";"):
        found, _, value = pair.strip().partition("=")
        if found == name:
            return value
    return ""


@dataclass(frozen=True, slots=True)
class Sender:
    """What a browser says about where a request comes from."""

    method: str
    fetch_site: str | None
    """Header Sec-Fetch-Site."""
    origin: str | None
    """Header Origin."""
    host: str | None
    """Header Host."""


def check_same_origin(sender: Sender, external_url: str = "") -> None:
    """Nothing for what one of our own pages sent, and for what changes nothing. Raises PermissionDenied.

    To be called for every request that a cookie alone lets in.
    """
    if sender.method in _SAFE:
        return
    if sender.origin is not None:
        ours = {urlsplit(external_url).netloc, sender.host} if external_url else {sender.host}
        good = urlsplit(sender.origin).netloc in ours - {None, ""}
    else:
        good = sender.fetch_site in _OF_OURS
    if not good or sender.fetch_site not in (None, *_OF_OURS):
        raise errors.PermissionDenied(
            "This request was not sent by one of this server's own pages, so the browser's login does not count for it. "
            "Programs send the header `Authorization: Bearer <token>`."
        )
