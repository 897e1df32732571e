"""Which tokens this server trusts: keeps the newest keys at hand (`Trust`), swapped whole, and replaces the signing key in time.

Every server follows topic `oauth`. A new key is stored some time before it signs, so that all know it before its first token
comes; old ones verify until the last token they signed has expired. So nobody is logged out (docs/decisions/0085).
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from headgate.access import sealing
from headgate.access.oauth import keys as signing
from headgate.access.oauth.keys import Key, KeySet
from headgate.clock import Clock, within
from headgate.store.oauth.signing_keys import TOPIC, SigningKeys, StoredKey, StoredTrust

logger = logging.getLogger(__name__)

POLL_S = 1.0
_BETWEEN_LOOKS_S = 0.01
_SLACK_MS = 60_000
"""A server that learned late of a new key may have signed with the old one for so much longer."""


@dataclass(frozen=True, slots=True)
class KeyTerms:
    """How long what lasts, in milliseconds."""

    rotation_ms: int
    lead_ms: int
    longest_life_ms: int
    """Of any token."""


class Trust:
    """`refresh` before the first request, then `run`. `now` gives the keys in use."""

    def __init__(self, store: SigningKeys, sealer: sealing.Sealer, clock: Clock, terms: KeyTerms) -> None:
        self.keys = KeySet()
        self.swapped: Callable[[], None] = lambda: None
        """Called after every swap: what was verified with keys that are gone must be forgotten."""
        self._store = store
        self._sealer = sealer
        self._clock = clock
        self._terms = terms
        self._hinted = asyncio.Event()
        self._failing = False

    def now(self) -> KeySet:
        """The keys in use."""
        return self.keys

    def hint(self, topic: str) -> None:
        """A change notice was heard."""
        if topic == TOPIC:
            self._hinted.set()

    def refresh(self) -> None:
        """Looks at the store, swaps when it has something newer, and makes a new key when it is time. Raises whatever the store does."""
        if self._store.revision() != self.keys.revision:
            self._swap(self._store.read())
        if self._is_due(self.keys.keys):
            # Another server may have been quicker.
            self._replace(lambda known: self._is_due(known))

    def rotate(self, *, forget_old: bool = False) -> None:
        """Stores a new key, unless one waits for its time already. `forget_old`: no token signed before is good any more."""
        if forget_old:
            self._replace(lambda _: True, forget_old=True)
        else:
            self._replace(lambda known: not self._is_waiting(known))

    def _replace(self, is_wanted: Callable[[Sequence[Key]], bool], *, forget_old: bool = False) -> None:
        def change(before: tuple[StoredKey, ...]) -> tuple[StoredKey, ...]:
            known = [self._opened(key) for key in before]
            if not is_wanted(known):
                return before
            now_ms = self._clock.now_ms()
            at_once = forget_old or signing.newest_signs_from_ms(known) is None
            new = self._made(now_ms, now_ms if at_once else now_ms + self._terms.lead_ms)
            logger.info("signing key %s signs tokens from %d ms on", new.id, new.signs_from_ms)
            if forget_old:
                return (new,)
            last_ms = new.signs_from_ms + self._terms.longest_life_ms + _SLACK_MS
            kept = (key if key.expires_at_ms else dataclasses.replace(key, expires_at_ms=last_ms) for key in before)
            return (*(key for key in kept if (key.expires_at_ms or 0) > now_ms), new)

        # Sealing within this topic's transaction: replacing the installation's secret key then misses nothing.
        self._store.replace(change, sealing.TOPIC)
        self._swap(self._store.read())

    def _made(self, now_ms: int, signs_from_ms: int) -> StoredKey:
        private = signing.new_private_key()
        made = signing.key_id(private.public_key())
        sealed = self._sealer.seal(signing.private_bytes(private), _context(made))
        return StoredKey(made, signing.public_text(private.public_key()), sealed, now_ms, signs_from_ms)

    def revoke(self, token_id: str, expires_at_ms: int) -> None:
        """That token is refused from now on, here at once, elsewhere within a second."""
        self._store.revoke(token_id, expires_at_ms, self._clock.now_ms())
        self._swap(self._store.read())

    async def run(self) -> None:
        """Follows the store until cancelled."""
        while True:
            self._hinted.clear()
            await self._look()
            await asyncio.sleep(_BETWEEN_LOOKS_S)
            try:
                await within(POLL_S, self._hinted.wait())
            except asyncio.TimeoutError:
                pass

    async def _look(self) -> None:
        try:
            await asyncio.to_thread(self.refresh)
        except Exception as error:  # whatever ails the store, tokens go on being verified with the last keys
            if not self._failing:
                self._failing = True
                logger.exception("the keys of tokens cannot be read (%s); the last ones stay in use", error)
            return
        if self._failing:
            self._failing = False
            logger.info("the keys of tokens can be read again")

    def _is_due(self, keys: Sequence[Key]) -> bool:
        newest_ms = signing.newest_signs_from_ms(keys)
        return newest_ms is None or self._clock.now_ms() - newest_ms >= self._terms.rotation_ms

    def _is_waiting(self, keys: Sequence[Key]) -> bool:
        newest_ms = signing.newest_signs_from_ms(keys)
        return newest_ms is not None and newest_ms > self._clock.now_ms()

    def _swap(self, stored: StoredTrust) -> None:
        if stored.revision < self.keys.revision:
            return  # a thread that read before another one did
        keys = tuple(self._opened(key) for key in stored.keys)
        self.keys = KeySet(keys, stored.revoked, stored.revision)
        self.swapped()

    def _opened(self, stored: StoredKey) -> Key:
        for key in self.keys.keys:
            if key.id == stored.id and key.private is not None:
                return dataclasses.replace(key, expires_at_ms=stored.expires_at_ms)
        try:
            private = signing.read_private(self._sealer.open(stored.sealed_private_key, _context(stored.id)))
        except sealing.SealBroken as problem:
            logger.warning("a signing key cannot be opened: %s; it only verifies from now on", problem)
            private = None
        public = signing.read_public(stored.public_key)
        return Key(stored.id, public, private, stored.signs_from_ms, stored.expires_at_ms)


def _context(key_id: str) -> str:
    return f"signing-key:{key_id}"
