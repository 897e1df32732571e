"""Tokens of our own: JWTs, made here and verified by every server in memory, without asking anybody.

`Authenticator` calls `Tokens.verify` on both doors. What a token says is believed for its lifetime; who its subject is now, and
whether they still exist, the directory says.
"""

from __future__ import annotations

import binascii
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt

from headgate import errors
from headgate.access.oauth.keys import ALGORITHM, KeySet
from headgate.access.principals import OAUTH, SESSION, VerifiedToken
from headgate.clock import Clock

ACCESS_TYPE = "at+jwt"
"""RFC 9068."""
SESSION_TYPE = "session+jwt"

_LONGEST = 8192
"""Characters of a token that is looked at at all."""
_REQUIRED = ["iss", "aud", "sub", "exp", "iat", "jti"]
_HOW = "Ask /oidc/v1/token for a new one."


@dataclass(frozen=True, slots=True)
class Wish:
    """What a token is to say."""

    subject_id: str
    issuer: str
    lifetime_s: float
    kind: str = ACCESS_TYPE
    more: Mapping[str, Any] = field(default_factory=dict)
    """Further claims: scope, client_id, authorization_details."""
    endpoint_id: str | None = None
    """Set for a token that is good for querying this endpoint only."""


class Tokens:
    """Makes and verifies them. Thread-safe; `keys` gives the newest set there is."""

    def __init__(self, keys: Callable[[], KeySet], audience: str, clock: Clock, issuer: str = "") -> None:
        """`audience` names this installation in every token. `issuer`: the only one accepted; empty: any, the audience decides."""
        self._keys = keys
        self._audience = audience
        self._clock = clock
        self._issuer = issuer

    def issue(self, wish: Wish) -> str:
        """A signed token. Raises TemporarilyUnavailable when there is no key to sign with."""
        now_ms = self._clock.now_ms()
        key = self._keys().signing(now_ms)
        if key is None or key.private is None:
            raise errors.TemporarilyUnavailable(
                "This server has no key to sign tokens with yet. Try again in a moment.", headers={"retry-after": "1"}
            )
        issued_s = now_ms // 1000
        claims = {
            **wish.more,
            "iss": wish.issuer,
            "aud": self._audience,
            "sub": wish.subject_id,
            "iat": issued_s,
            "exp": issued_s + int(wish.lifetime_s),
            "jti": uuid.uuid4().hex,
        }
        if wish.endpoint_id is not None:
            claims["endpoint_id"] = wish.endpoint_id
        return jwt.encode(claims, key.private, ALGORITHM, headers={"kid": key.id, "typ": wish.kind})

    def verify(self, token: str) -> VerifiedToken | None:
        """What an access token says; None: it is not a JWT. Raises Unauthenticated for one that is not good (any more)."""
        if not looks_like_jwt(token):
            return None
        claims = self.claims(token, ACCESS_TYPE)
        return VerifiedToken(claims["sub"], float(claims["exp"]), OAUTH, claims.get("endpoint_id"))

    def verify_session(self, token: str) -> VerifiedToken:
        """What the token in a session's cookie says. Raises Unauthenticated."""
        claims = self.claims(token, SESSION_TYPE)
        return VerifiedToken(claims["sub"], float(claims["exp"]), SESSION, None)

    def claims(self, token: str, kind: str) -> Mapping[str, Any]:
        """All a token of that kind says, once it has proven good. Raises Unauthenticated."""
        if len(token) > _LONGEST:
            raise _refused("it is too long")
        now_ms, keys = self._clock.now_ms(), self._keys()
        try:
            header = jwt.get_unverified_header(token)
            key = keys.verifying(str(header.get("kid")), now_ms)
            if key is None or header.get("alg") != ALGORITHM or header.get("typ") != kind:
                raise _refused("it is not one of this server's, or its key is gone")
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key.public,
                algorithms=[ALGORITHM],
                audience=self._audience,
                issuer=self._issuer or None,
                # By our clock, below.
                options={"require": _REQUIRED, "verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
            expires_s = int(claims["exp"])
        except (jwt.PyJWTError, binascii.Error, ValueError, TypeError):
            raise _refused("its signature or what it says is not right") from None
        if now_ms >= expires_s * 1000:
            raise _refused("it has expired")
        if claims["jti"] in keys.revoked:
            raise _refused("it was revoked")
        return claims


def looks_like_jwt(token: str) -> bool:
    """Whether it is one by its form: three parts, the first of them JSON."""
    return token.startswith("eyJ") and token.count(".") == 2


def _refused(why: str) -> errors.Unauthenticated:
    return errors.Unauthenticated(f"Invalid access token: {why}. {_HOW}")
