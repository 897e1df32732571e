"""Who is calling. Asked by both doors (api, gateway) on every request, so: in memory, no database."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from headgate import errors

USER = "user"
SERVICE_PRINCIPAL = "service_principal"

TOKEN = "token"
OAUTH = "oauth"
SESSION = "session"

_REMEMBERED = 1024
_HOW = "Send the header `Authorization: Bearer <token>`; `headgate serve` keeps the administrator's token in data_dir/admin-token."


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


class Authenticator:
    """Turns an Authorization header into a Principal. Only keyed hashes of tokens are held."""

    def __init__(self, key: bytes, principals: Mapping[str, Principal]) -> None:
        """`principals` maps `token_hash(key, token)` to who holds the token."""
        self._key = key
        self._principals = dict(principals)
        self._known: dict[str, Principal] = {}

    def authenticate(self, authorization: str | None) -> Principal:
        """The caller behind `Bearer <token>` or Basic `token:<token>`. Raises Unauthenticated."""
        if not authorization:
            raise errors.Unauthenticated(f"Credential was not sent or was of an unsupported type for this API. {_HOW}")
        known = self._known.get(authorization)
        if known is not None:
            return known
        principal = self._principals.get(token_hash(self._key, _token(authorization)))
        if principal is None:
            raise errors.Unauthenticated(f"Invalid access token. {_HOW}")
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[authorization] = principal
        return principal


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
