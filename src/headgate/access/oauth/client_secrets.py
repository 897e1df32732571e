"""Secrets with which service principals ask for tokens. Only keyed hashes are stored; a value is shown once."""

from __future__ import annotations

import hmac
import math
import re
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from headgate import errors
from headgate.access.directory import Directory
from headgate.access.principals import token_hash
from headgate.clock import Clock
from headgate.domain.identity import ServicePrincipal
from headgate.store.oauth.client_secrets import ClientSecret, ClientSecrets

LONGEST_LIFE_S = 2 * 365 * 86400
"""Also what a secret gets when nobody says."""

_PREFIX = "hgs_"
_DURATION = re.compile(r"([0-9]{1,9})(\.[0-9]{1,9})?s")
_ID = re.compile(r"[0-9a-f]{32}")
_NOBODY = "0" * 64
"""Compared with when there is nothing to compare with, so that it takes as long."""


@dataclass(frozen=True, slots=True)
class NewSecret:
    """A secret just made, with its value."""

    stored: ClientSecret
    value: str


class Secrets:
    """Makes, lists, deletes and checks them."""

    def __init__(self, store: ClientSecrets, key: bytes, clock: Clock, most: int) -> None:
        """`key` is that of the hashes; `most` may one service principal have."""
        self._store = store
        self._key = key
        self._clock = clock
        self._most = most

    def create(self, principal_id: str, lifetime: str | None) -> NewSecret:
        """A new secret, good for `lifetime` (`3600s`). Raises InvalidParameterValue, InvalidState."""
        life_ms = math.ceil(lifetime_s(lifetime) * 1000)
        now_ms = self._clock.now_ms()
        value = f"{_PREFIX}{secrets.token_urlsafe(32)}"
        stored = ClientSecret(uuid.uuid4().hex, principal_id, token_hash(self._key, value), now_ms, now_ms + life_ms)
        self._store.add(stored, self._most)
        return NewSecret(stored, value)

    def of(self, principal_id: str) -> list[ClientSecret]:
        """Oldest first, also those that have expired."""
        return self._store.of(principal_id)

    def delete(self, principal_id: str, secret_id: str) -> None:
        """No token is given for it any more. Raises ResourceDoesNotExist."""
        # Not every database can even be asked for any text.
        self._store.delete(principal_id, secret_id if _ID.fullmatch(secret_id) else "")

    def holder(self, directory: Callable[[], Directory], client_id: str, value: str) -> ServicePrincipal | None:
        """The active service principal of that application id, if the secret is one of its own; the same work whatever is wrong."""
        found = directory().by_application_id(client_id)
        digest = token_hash(self._key, value)
        now_ms = self._clock.now_ms()
        stored = self._store.of(found.id if found else "")
        good = [hmac.compare_digest(one.digest, digest) and now_ms < one.expires_at_ms for one in stored]
        hmac.compare_digest(_NOBODY, digest)
        return found if found is not None and found.active and any(good) else None


def lifetime_s(text: str | None) -> float:
    """Seconds of a duration such as `3600s`. Raises InvalidParameterValue."""
    if not text:
        return LONGEST_LIFE_S
    found = _DURATION.fullmatch(text)
    seconds = float(text[:-1]) if found else 0.0
    if not 0 < seconds <= LONGEST_LIFE_S:
        raise errors.InvalidParameterValue(
            f"lifetime must be a number of seconds followed by s, such as 86400s, of at most {LONGEST_LIFE_S}s (two years)."
        )
    return seconds
