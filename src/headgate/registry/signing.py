"""Signed URLs: whoever holds one may do one thing to one path until a time, without a token. Made and checked by `api.files`."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from headgate import errors
from headgate.clock import Clock

LIFETIME_MS = 3600 * 1000
PREFIX = "/api/2.0/fs/signed"


class UrlSigner:
    """HMAC-SHA256 over method, path and expiry."""

    def __init__(self, key: bytes, clock: Clock) -> None:
        self._key = key
        self._clock = clock

    def url(self, base: str, method: str, path: str) -> str:
        """`base` + our route for the file `path` (`/Models/…`), allowing `method` for an hour."""
        expires_ms = self._clock.now_ms() + LIFETIME_MS
        query = {"method": method, "expires": expires_ms, "signature": self._signature(method, path, str(expires_ms))}
        return f"{base}{PREFIX}{quote(path)}?{urlencode(query)}"

    def check(self, method: str, path: str, query: Mapping[str, str]) -> None:
        """Raises PermissionDenied. A URL for GET allows HEAD as well."""
        signed = query.get("method", "")
        expires = query.get("expires", "")
        wanted = self._signature(signed, path, expires)
        if not hmac.compare_digest(wanted.encode(), query.get("signature", "").encode(errors="replace")):
            raise errors.PermissionDenied("The signature of this URL is not valid for its path; ask for a new URL.")
        if signed != ("GET" if method == "HEAD" else method):
            raise errors.PermissionDenied(f"This URL is signed for {signed}, not for {method}; ask for a new URL.")
        if int(expires) < self._clock.now_ms():
            raise errors.PermissionDenied("This URL has expired; ask for a new one.")

    def _signature(self, method: str, path: str, expires: str) -> str:
        text = "\n".join((method, expires, path))
        return hmac.new(self._key, text.encode(errors="replace"), hashlib.sha256).hexdigest()


def new_key() -> str:
    """A key for signing, as hex."""
    return secrets.token_hex(32)
