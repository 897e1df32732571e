"""A person's way in with a browser: to the login provider and back, or with an access token where there is none.

What is remembered between the two requests travels in a sealed cookie: any server can finish what another began, and nothing
is stored for somebody who has not logged in yet.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from headgate import errors
from headgate.access.oauth.issuing import challenge
from headgate.access.oauth.people import People
from headgate.access.oauth.provider import Attempt, LoginFailed, Provider
from headgate.access.oauth.sessions import Sessions
from headgate.access.principals import SESSION, TOKEN, Principal, VerifiedToken, token_hash
from headgate.access.sealing import SealBroken, Sealer
from headgate.clock import Clock

COOKIE = "headgate_login"
COOKIE_PATH = "/login"
LIFE_S = 600
"""How long somebody may take at the provider."""

_CONTEXT = "login"
_PATH = re.compile(r"/(?![/\\])[\x21-\x7e]{0,2000}")


@dataclass(frozen=True, slots=True)
class LoginNeeds:
    """What logins are made from."""

    provider: Provider | None
    people: People
    sessions: Sessions
    sealer: Sealer
    authenticate: Callable[[str | None], Principal]
    admit: Callable[[VerifiedToken], Principal]
    """`Authenticator.admit`."""
    key: bytes
    """Of the keyed hashes of access tokens."""
    clock: Clock


@dataclass(frozen=True, slots=True)
class Departure:
    """Where to send the browser, and the cookie it takes along."""

    url: str
    cookie: str


@dataclass(frozen=True, slots=True)
class Arrival:
    """Who came back: a Set-Cookie header's value, and where they wanted to go."""

    principal: Principal
    session_cookie: str
    return_to: str


class BrowserLogin:
    """Thread-safe. Raises LoginFailed, whose message the person reads."""

    def __init__(self, needs: LoginNeeds) -> None:
        self._needs = needs

    @property
    def has_provider(self) -> bool:
        """Whether people log in elsewhere; otherwise they paste an access token."""
        return self._needs.provider is not None

    def depart(self, base_url: str, return_to: str) -> Departure:
        """To the provider."""
        provider = self._provider()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        attempt = Attempt(state, nonce, verifier, f"{base_url}/login/callback")
        url = provider.authorization_url(attempt, challenge(verifier))
        kept = {
            "state": state, "nonce": nonce, "verifier": verifier, "redirect_uri": attempt.redirect_uri,
            "return_to": safe_path(return_to), "until_ms": self._needs.clock.now_ms() + LIFE_S * 1000,
        }  # fmt: skip
        return Departure(url, self._needs.sealer.seal(json.dumps(kept).encode(), _CONTEXT))

    def arrive(self, base_url: str, cookie: str, state: str, code: str) -> Arrival:
        """Back from the provider with a code."""
        provider = self._provider()
        attempt, return_to = self._remembered(cookie)
        if not hmac.compare_digest(attempt.state.encode(), state.encode()):
            raise LoginFailed("This answer of the login provider belongs to another login. Begin again at /login.")
        claims = provider.claims(attempt, code, self._needs.people.wanted)
        user_id = self._needs.people.admit(claims)
        principal = self._admitted(user_id)
        return Arrival(principal, self._needs.sessions.start(principal, base_url), return_to)

    def with_token(self, base_url: str, token: str, return_to: str) -> Arrival:
        """With a personal access token, where there is no provider. The session ends with the token."""
        if self.has_provider:
            raise LoginFailed("People log in with the login provider here. Begin at /login.")
        try:
            principal = self._needs.authenticate(f"Bearer {token.strip()}")
        except errors.Unauthenticated:
            raise LoginFailed("This access token is not valid (any more).") from None
        if principal.credential != TOKEN:
            raise LoginFailed("Paste a personal access token: one for programs does not log a person in.")
        origin = token_hash(self._needs.key, token.strip())
        return Arrival(principal, self._needs.sessions.start(principal, base_url, origin), safe_path(return_to))

    def _admitted(self, user_id: str) -> Principal:
        until_s = self._needs.clock.now_ms() / 1000.0 + 1.0
        try:
            return self._needs.admit(VerifiedToken(user_id, until_s, SESSION, None))
        except errors.Unauthenticated:
            raise LoginFailed("You are not active here (any more). Ask an administrator.") from None

    def _provider(self) -> Provider:
        if self._needs.provider is None:
            raise LoginFailed("There is no login provider here. Log in at /login with a personal access token.")
        return self._needs.provider

    def _remembered(self, cookie: str) -> tuple[Attempt, str]:
        try:
            kept = json.loads(self._needs.sealer.open(cookie, _CONTEXT))
        except (SealBroken, ValueError):
            kept = None
        if kept is None or self._needs.clock.now_ms() >= kept["until_ms"]:
            raise LoginFailed(
                "This browser has not begun a login here in the last ten minutes, or does not keep cookies. Begin again at /login."
            )
        attempt = Attempt(kept["state"], kept["nonce"], kept["verifier"], kept["redirect_uri"])
        return attempt, kept["return_to"]


def safe_path(path: str) -> str:
    """A path on this server; `/login` for anything that could lead elsewhere."""
    return path if _PATH.fullmatch(path) else "/login"
