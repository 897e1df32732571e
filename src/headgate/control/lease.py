"""The right to act: one control at a time, by a lease in the store. A second control waits until it runs out.

Where several houses share a database, the control of the one that runs models comes first; those of others act while it is away, and on no
replica (docs/decisions/0185).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from headgate.clock import Clock
from headgate.domain.environment import EnvironmentSpec
from headgate.replicas.runtime import Observation, ReplicaSpec, Runtime, RuntimeUnreachable
from headgate.store import houses, leases
from headgate.store.database import Database

TTL_S = 10.0
NAME = "control"
MODELS = "models"
"""Held by the control of the house that runs models, whether it acts or waits."""


class Lease:
    """Held by one `holder` of the house `house` (empty: the only one there is) for `TTL_S`; renewed while it acts."""

    def __init__(self, database: Database, clock: Clock, holder: str, house: str = "") -> None:
        self._database = database
        self._clock = clock
        self._holder = holder
        self._house = house
        self.runs_models = False
        """Whether this house's agent is the one whose replicas the rows speak of; known once `hold` has asked."""
        self._until_s = float("-inf")

    async def hold(self) -> bool:
        """Takes it, or renews it once a quarter has run off. False while another holds it."""
        if self._until_s - self._clock.monotonic_s() > 0.75 * TTL_S:
            return True
        # Counted from before the write: it never lasts longer here than in the store.
        asked_at_s = self._clock.monotonic_s()
        taken = await asyncio.to_thread(self._take, self._clock.now_ms())
        self._until_s = asked_at_s + TTL_S if taken else float("-inf")
        return taken

    def is_held(self) -> bool:
        """Whether it is still ours, with a tenth to spare for the write that is about to follow."""
        return self._until_s - self._clock.monotonic_s() > 0.1 * TTL_S

    async def release(self) -> None:
        """Gives it back."""
        self._until_s = float("-inf")
        for name in (NAME, MODELS):
            await asyncio.to_thread(leases.release, self._database, name, self._holder)

    def _take(self, now_ms: int) -> bool:
        database, holder, for_ms = self._database, self._holder, int(TTL_S * 1000)
        home = houses.models(database) if self._house else None
        self.runs_models = home is None or home.id == self._house
        if self.runs_models:
            # Also keeps two houses apart that have the same id, because somebody copied a data directory.
            if not leases.acquire(database, leases.Claim(MODELS, holder, now_ms, for_ms)):
                return False
        elif leases.is_held(database, MODELS, now_ms):
            leases.release(database, NAME, holder)
            return False
        return leases.acquire(database, leases.Claim(NAME, holder, now_ms, for_ms))


class OwnReplicas:
    """The agent of this house, away as long as another house runs the models: then nothing is decided about replicas."""

    def __init__(self, agent: Runtime, runs_models: Callable[[], bool]) -> None:
        self._agent = agent
        self._runs_models = runs_models

    async def ensure_environment(self, spec: EnvironmentSpec) -> None:
        await self._there().ensure_environment(spec)

    async def start_replica(self, spec: ReplicaSpec) -> None:
        await self._there().start_replica(spec)

    async def stop_replica(self, replica_id: str, *, drain: bool) -> None:
        await self._there().stop_replica(replica_id, drain=drain)

    async def observe(self) -> Observation:
        return await self._there().observe()

    async def retain(self, environment_keys: frozenset[str]) -> None:
        if self._runs_models():
            await self._agent.retain(environment_keys)

    def _there(self) -> Runtime:
        if not self._runs_models():
            raise RuntimeUnreachable("another house runs the models")
        return self._agent
