"""The fake `Runtime`, moved by hand: what was begun is done at the next `tick`."""

from __future__ import annotations

from dataclasses import replace

from tests.fakes.runtime import FakeRuntime

from headgate.replicas.runtime import Observation, ObservedEnvironment, ObservedReplica, ObservedState

BROKEN = "ModuleNotFoundError: moon\nlast log line"


class Machine(FakeRuntime):
    """Builds, loads and drains take one tick each."""

    def __init__(self) -> None:
        super().__init__()
        self.holds: set[str] = set()
        """Replicas that have requests, and so do not end when drained."""
        self.observed = 0
        """How often it was asked."""
        self._hold()

    @property
    def environments(self) -> dict[str, ObservedEnvironment]:
        return self._environments

    @property
    def replicas(self) -> dict[str, ObservedReplica]:
        return self._replicas

    async def observe(self) -> Observation:
        self.observed += 1
        return await super().observe()

    def tick(self) -> None:
        busy = [seen for seen in self._replicas.values() if seen.id in self.holds and _drains(seen)]
        self.release()
        self._replicas.update((seen.id, seen) for seen in busy)
        self._hold()

    def forget_drain(self, replica_id: str) -> None:
        """As an agent may that has adopted it."""
        self._replicas[replica_id] = replace(self._replicas[replica_id], state=ObservedState.READY)

    def _hold(self) -> None:
        self.holding_builds = self.holding_loads = self.holding_drains = True


def _drains(seen: ObservedReplica) -> bool:
    return seen.state is ObservedState.DRAINING
