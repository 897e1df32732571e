"""The grants: for what one gets a token, and what the token is then good for. Called by `api.oauth.token`; knows no HTTP.

Every grant ends in `_answer`. Who asks is looked up in the directory at that moment; what they may do with an endpoint, in the
store. Raises Refusal in OAuth's words.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from headgate import errors
from headgate.access.directory import Directory
from headgate.access.oauth import authorization_details
from headgate.access.oauth.authorization_details import EndpointWish
from headgate.access.oauth.client_secrets import Secrets
from headgate.access.oauth.refusals import Refusal, invalid_client, invalid_details, invalid_grant, invalid_request
from headgate.access.oauth.tokens import Tokens, Wish, looks_like_jwt
from headgate.access.principals import OAUTH, Principal, token_hash
from headgate.clock import Clock
from headgate.domain.grants import includes
from headgate.store.oauth.logins import AuthorizationCode, Logins, RefreshToken

CLIENT_CREDENTIALS = "client_credentials"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
AUTHORIZATION_CODE = "authorization_code"
REFRESH_TOKEN = "refresh_token"

ALL_APIS = "all-apis"
OFFLINE = "offline_access"
SCOPES = (ALL_APIS, OFFLINE)

CODE_LIFE_MS = 60_000

_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


@dataclass(frozen=True, slots=True)
class Terms:
    """How long what lasts, in seconds."""

    token_life_s: float
    refresh_life_s: float


@dataclass(frozen=True, slots=True)
class IssuerNeeds:
    """What grants are decided by."""

    tokens: Tokens
    secrets: Secrets
    logins: Logins
    directory: Callable[[], Directory]
    authenticate: Callable[[str | None], Principal]
    level: Callable[[Principal, str], str | None]
    """(caller, endpoint id) -> what they have on it; None: nothing, or there is none."""
    key: bytes
    """Of the keyed hashes that are stored."""
    clock: Clock
    terms: Terms


@dataclass(frozen=True, slots=True)
class Ask:
    """A request for a token: its parameters, and the address the issuer goes by."""

    given: Mapping[str, str]
    issuer: str
    client_id: str = ""
    client_secret: str = ""
    """Both from the Authorization header, else from the form."""


@dataclass(frozen=True, slots=True)
class Issued:
    """The answer, and who got it."""

    principal: Principal
    body: Mapping[str, Any]


class Issuing:
    """Thread-safe."""

    def __init__(self, needs: IssuerNeeds) -> None:
        self._needs = needs
        self._grants: Mapping[str, Callable[[Ask], Issued]] = {
            CLIENT_CREDENTIALS: self._client_credentials,
            JWT_BEARER: self._jwt_bearer,
            AUTHORIZATION_CODE: self._authorization_code,
            REFRESH_TOKEN: self._refresh_token,
        }

    def token(self, ask: Ask) -> Issued:
        """What `/oidc/v1/token` answers. Raises Refusal."""
        kind = _needed(ask, "grant_type")
        grant = self._grants.get(kind)
        if grant is None:
            raise Refusal("unsupported_grant_type", f"grant_type must be one of {', '.join(self._grants)}.")
        return grant(ask)

    def code(self, principal: Principal, wanted: AuthorizationCode) -> str:
        """A code for a client that this person lets in. Who it is for and its digest are filled in here."""
        value = secrets.token_urlsafe(32)
        now_ms = self._needs.clock.now_ms()
        code = AuthorizationCode(
            token_hash(self._needs.key, value), principal.id, wanted.client_id, wanted.redirect_uri,
            wanted.challenge, wanted.scope, now_ms + CODE_LIFE_MS, wanted.origin,
        )  # fmt: skip
        self._needs.logins.add_code(code, now_ms)
        return value

    # -- the grants ------------------------------------------------------------------------------------------------

    def _client_credentials(self, ask: Ask) -> Issued:
        if not ask.client_id or not ask.client_secret:
            raise invalid_client(
                "Send the application id of a service principal and one of its secrets, with HTTP Basic or as client_id and client_secret."
            )
        holder = self._needs.secrets.holder(self._needs.directory, ask.client_id, ask.client_secret)
        if holder is None:
            raise invalid_client(
                "There is no active service principal of this application id with this secret, or the secret has expired."
            )
        return self._answer(ask, self._principal(holder.id), _scope(ask))

    def _jwt_bearer(self, ask: Ask) -> Issued:
        assertion = _needed(ask, "assertion")
        _needed(ask, "authorization_details")
        if not looks_like_jwt(assertion):
            raise invalid_grant(
                "assertion must be an access token from this server's /oidc/v1/token. A personal access token cannot be exchanged: "
                "endpoints that are route optimized take OAuth only."
            )
        try:
            principal = self._needs.authenticate(f"Bearer {assertion}")
        except errors.Unauthenticated as error:
            raise invalid_grant(error.message) from None
        if principal.credential != OAUTH or principal.endpoint_id is not None:
            raise invalid_grant("assertion is a token for one endpoint already, which is good for nothing else.")
        return self._answer(ask, principal, _scope(ask))

    def _authorization_code(self, ask: Ask) -> Issued:
        value, verifier = _needed(ask, "code"), _needed(ask, "code_verifier")
        # Taken before anything is compared: a code that somebody else tries is spent.
        code = self._needs.logins.take_code(token_hash(self._needs.key, value))
        if code is None or code.expires_at_ms <= self._needs.clock.now_ms():
            raise invalid_grant("The code is unknown, was used before, or is more than a minute old. Log in again.")
        if code.client_id != ask.client_id or code.redirect_uri != ask.given.get("redirect_uri", code.redirect_uri):
            raise invalid_grant("The code was given to another client_id or redirect_uri.")
        if not _VERIFIER.fullmatch(verifier) or not hmac.compare_digest(challenge(verifier), code.challenge):
            raise invalid_grant("code_verifier does not belong to the code_challenge that the login began with.")
        principal = self._principal(code.principal_id, code.origin)
        issued = self._answer(ask, principal, code.scope)
        if OFFLINE not in code.scope.split():
            return issued
        return Issued(principal, {**issued.body, "refresh_token": self._new_refresh_token(code)})

    def _refresh_token(self, ask: Ask) -> Issued:
        digest = token_hash(self._needs.key, _needed(ask, "refresh_token"))
        kept = self._needs.logins.refresh_token(digest)
        if kept is None or kept.expires_at_ms <= self._needs.clock.now_ms():
            raise invalid_grant("The refresh token is unknown or has expired. Log in again.")
        if kept.client_id != ask.client_id:
            raise invalid_grant("The refresh token was given to another client_id.")
        issued = self._answer(ask, self._principal(kept.principal_id, kept.origin), kept.scope)
        # The same one: clients do not write a new one back (docs/decisions/0086).
        return Issued(issued.principal, {**issued.body, "refresh_token": ask.given["refresh_token"]})

    # -- parts -----------------------------------------------------------------------------------------------------

    def _principal(self, principal_id: str, origin: str = "") -> Principal:
        directory, now_ms = self._needs.directory(), self._needs.clock.now_ms()
        principal = directory.principal(principal_id, OAUTH)
        came_with = directory.token(origin) if origin else None
        if principal is None or (origin and (came_with is None or came_with.has_expired(now_ms))):
            raise invalid_grant(
                "Who logged in is not known or not active any more, or their access token was revoked. Log in again."
            )
        return principal

    def _new_refresh_token(self, code: AuthorizationCode) -> str:
        value = secrets.token_urlsafe(32)
        now_ms = self._needs.clock.now_ms()
        expires_at_ms = now_ms + int(self._needs.terms.refresh_life_s * 1000)
        digest = token_hash(self._needs.key, value)
        self._needs.logins.add_refresh_token(
            RefreshToken(digest, code.principal_id, code.client_id, code.scope, now_ms, expires_at_ms, code.origin)
        )
        return value

    def _answer(self, ask: Ask, principal: Principal, scope: str) -> Issued:
        text = ask.given.get("authorization_details")
        wish = authorization_details.read(text) if text else None
        if wish is not None:
            self._check(principal, wish)
        life_s = self._needs.terms.token_life_s
        client_id = ask.client_id or principal.user_name
        more: dict[str, Any] = {"scope": scope, "client_id": client_id}
        body: dict[str, Any] = {"token_type": "Bearer", "expires_in": int(life_s), "scope": scope}
        if wish is not None:
            more["authorization_details"] = body["authorization_details"] = wish.details()
        endpoint_id = None if wish is None else wish.endpoint_id
        token = self._needs.tokens.issue(Wish(principal.id, ask.issuer, life_s, more=more, endpoint_id=endpoint_id))
        return Issued(principal, {"access_token": token, **body})

    def _check(self, principal: Principal, wish: EndpointWish) -> None:
        level = self._needs.level(principal, wish.endpoint_id)
        if level is None:
            raise invalid_details(f"There is no serving endpoint with id {wish.endpoint_id}.")
        if not includes(level, wish.level):
            raise invalid_details(
                f"{principal.user_name} has {level} on the serving endpoint {wish.endpoint_id}; this takes {wish.level}."
            )


def challenge(verifier: str) -> str:
    """S256 of RFC 7636."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _scope(ask: Ask) -> str:
    given = ask.given.get("scope", "").split() or [ALL_APIS]
    check_scope(given)
    return " ".join(one for one in given if one != OFFLINE)


def check_scope(given: list[str]) -> None:
    """Raises Refusal for a scope that would not be enforced."""
    if ALL_APIS not in given or not set(given) <= set(SCOPES):
        raise Refusal(
            "invalid_scope",
            f"scope must be {ALL_APIS}: narrower ones would not be enforced. Use permissions, or authorization_details.",
        )


def _needed(ask: Ask, name: str) -> str:
    value = ask.given.get(name)
    if not value:
        raise invalid_request(
            f"The parameter {name} is missing. Send parameters as a form (application/x-www-form-urlencoded)."
        )
    return value
