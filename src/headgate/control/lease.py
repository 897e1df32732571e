"""The right to act: one control at a time, by a lease in the store. A second control waits until it runs out."""

from __future__ import annotations

import asyncio

from headgate.clock import Clock
from headgate.store import leases
from headgate.store.database import Database

NAME = "control"


class Lease:
    """Held by one `holder` for `ttl_s`; renewed while it acts."""

    def __init__(self, database: Database, clock: Clock, holder: str, ttl_s: float = 10.0) -> None:
        self._database = database
        self._clock = clock
        self._holder = holder
        self._ttl_s = ttl_s
        self._until_s = float("-inf")

    async def hold(self) -> bool:
        """Takes it, or renews it once a quarter has run off. False while another holds it."""
        if self._until_s - self._clock.monotonic_s() > 0.75 * self._ttl_s:
            return True
        # Counted from before the write: it never lasts longer here than in the store.
        asked_at_s = self._clock.monotonic_s()
        now_ms = self._clock.now_ms()
        for_ms = int(self._ttl_s * 1000)
        taken = await asyncio.to_thread(
            leases.acquire, self._database, leases.Claim(NAME, self._holder, now_ms, for_ms)
        )
        self._until_s = asked_at_s + self._ttl_s if taken else float("-inf")
        return taken

    def is_held(self) -> bool:
        """Whether it is still ours, with a tenth to spare for the write that is about to follow."""
        return self._until_s - self._clock.monotonic_s() > 0.1 * self._ttl_s

    async def release(self) -> None:
        """Gives it back."""
        self._until_s = float("-inf")
        await asyncio.to_thread(leases.release, self._database, NAME, self._holder)
