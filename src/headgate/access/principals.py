"""Who is calling. Asked by both doors (api, gateway) on every request, so: in memory, no database."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headgate import errors
from headgate.clock import Clock

if TYPE_CHECKING:
    from headgate.access.directory import Directory

USER = "user"
SERVICE_PRINCIPAL = "service_principal"

TOKEN = "token"
OAUTH = "oauth"
SESSION = "session"

_REMEMBERED = 4096
_HOW = "Send the header `Authorization: Bearer <token>`; `headgate serve` keeps the administrator's token in data_dir/admin-token."
_INVALID = f"Invalid access token. {_HOW}"


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller."""

    id: str
    """Digits, as SCIM shows it."""
    user_name: str
    """Of a user; the application id of a service principal."""
    admin: bool
    kind: str = USER
    """`USER` or `SERVICE_PRINCIPAL`."""
    display_name: str = ""
    groups: frozenset[str] = frozenset()
    """Ids of the groups it is in, also through other groups."""
    keys: frozenset[str] = frozenset()
    """Its own id and those of its groups: what a grant to it can name."""
    credential: str = TOKEN
    """What it showed: `TOKEN` (a personal access token), `OAUTH` or `SESSION` (a browser's cookie)."""
    endpoint_id: str | None = None
    """Set when what it showed is good for querying this one endpoint only."""
    entitlements: frozenset[str] = frozenset()
    """Its own and those of its groups."""


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """What a token that carries its own proof (a JWT) says."""

    subject_id: str
    """Id of a user or service principal."""
    expires_at_s: float
    """Seconds since the epoch."""
    credential: str = OAUTH
    endpoint_id: str | None = None
    """Set when it is good for querying this one endpoint only."""


Verify = Callable[[str], VerifiedToken | None]
"""What a token says; None when it is none of this kind. Raises Unauthenticated when it is one, but expired or invalid."""


class Authenticator:
    """Turns an Authorization header into a Principal, by the newest directory. Only keyed hashes of tokens are held.

    A personal token is looked up by its keyed hash, so that no time taken says how much of it is right.
    """

    def __init__(
        self, key: bytes, directory: Callable[[], Directory], clock: Clock, verify: Verify | None = None
    ) -> None:
        """`directory` gives the newest, quickly."""
        self._key = key
        self._directory = directory
        self._now_ms = clock.now_ms
        self._verify = verify or (lambda _: None)
        self._known: dict[str, _Known] = {}
        self._known_from = directory()
        self._uses: dict[str, int] = {}

    def authenticate(self, authorization: str | None) -> Principal:
        """The caller behind `Bearer <token>` or Basic `token:<token>`. Raises Unauthenticated."""
        if not authorization:
            raise errors.Unauthenticated(f"Credential was not sent or was of an unsupported type for this API. {_HOW}")
        now_ms = self._now_ms()
        if self._known_from is self._directory():
            known = self._known.get(authorization)
            if known is not None and now_ms < known.until_ms:
                known.used_ms = now_ms
                return known.principal
        else:
            self.forget()
        known = self._look_up(_token(authorization), now_ms)
        if len(self._known) >= _REMEMBERED:
            self.forget()
        self._known[authorization] = known
        return known.principal

    def admit(self, verified: VerifiedToken) -> Principal:
        """The caller whom a token or session names that somebody else has verified. Raises Unauthenticated."""
        if self._now_ms() >= verified.expires_at_s * 1000.0:
            raise errors.Unauthenticated(f"The access token has expired. {_HOW}")
        principal = self._directory().principal(verified.subject_id, verified.credential, verified.endpoint_id)
        if principal is None:
            raise errors.Unauthenticated(_INVALID)
        return principal

    def digest(self, token: str) -> str:
        """What is stored of a token."""
        return token_hash(self._key, token)

    def forget(self) -> None:
        """Everything is looked up anew: the directory was swapped, or a key that tokens were verified with is gone."""
        self._uses.update(self._take_uses())
        self._known_from = self._directory()
        self._known = {}

    def last_uses(self) -> dict[str, int]:
        """Token id -> when it was last used here in ms, of those used since the last call of this."""
        uses, self._uses = self._uses, {}
        return uses | self._take_uses()

    def _take_uses(self) -> dict[str, int]:
        uses = {}
        for known in list(self._known.values()):
            if known.token_id and known.used_ms > known.told_ms:
                uses[known.token_id] = known.told_ms = known.used_ms
        return uses

    def _look_up(self, token: str, now_ms: int) -> _Known:
        found = self._directory().token(token_hash(self._key, token))
        if found is not None and not found.has_expired(now_ms):
            principal = self._directory().principal(found.principal_id)
            if principal is not None:
                return _Known(principal, found.expires_at_ms or math.inf, found.id, now_ms)
        verified = self._verify(token) if found is None else None
        if verified is None:
            raise errors.Unauthenticated(_INVALID)
        return _Known(self.admit(verified), verified.expires_at_s * 1000.0)


class _Known:
    """What became of a header that came before."""

    __slots__ = ("principal", "token_id", "told_ms", "until_ms", "used_ms")

    def __init__(self, principal: Principal, until_ms: float, token_id: str = "", used_ms: int = 0) -> None:
        self.principal = principal
        self.until_ms = until_ms
        self.token_id = token_id
        self.used_ms = used_ms
        self.told_ms = 0


def new_token() -> str:
    """The value of a new personal access token: 256 random bits, as text."""
    return f"hgt_{secrets.token_urlsafe(32)}"


def token_hash(key: bytes, token: str) -> str:
    """What is stored of a token: HMAC-SHA256, hex."""
    return hmac.new(key, token.encode(), hashlib.sha256).hexdigest()


def _token(authorization: str) -> str:
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            user, password = "", ""
        if user == "token" and password:
            return password
    raise errors.Unauthenticated(f"Credential was not sent or was of an unsupported type for this API. {_HOW}")
