"""What the replicas use and count, as the metrics show it, per served entity. Called by the loop every few seconds."""

from __future__ import annotations

from collections.abc import Mapping

from headgate.control.world import World
from headgate.domain.replica import Replica
from headgate.telemetry import metrics
from headgate.telemetry.counting import Usage
from headgate.telemetry.metrics import Metric

Used = Mapping[str, Mapping[str, float]]
"""Replica id -> `{"cpu_seconds": since its start, "rss_bytes", "memory_limit_bytes": 0 for none}` and what it has counted
(`COUNTED`), as the agent says."""

COUNTED = {
    "batches": metrics.BATCHES,
    "joined": metrics.JOINED,
    "mismatches": metrics.MISMATCHES,
}
"""A worker's counts -> the counters that show them."""


class Meter:
    """Turns CPU seconds into a rate: remembers the reading before."""

    def __init__(self, machine_bytes: int) -> None:
        self._machine_bytes = machine_bytes
        self._before: dict[str, tuple[float, float]] = {}

    def read(self, world: World, used: Used, now_s: float) -> dict[tuple[str, str], Usage]:
        """Means over the replicas of each (endpoint name, served entity name)."""
        entities = _entities(world)
        readings: dict[tuple[str, str], list[Usage]] = {}
        for replica_id, values in used.items():
            row = world.replicas.get(replica_id)
            if row is None or row.deployment_key not in entities:
                continue
            usage = Usage(self._cpu(world, row, values, now_s), self._memory(values))
            readings.setdefault(entities[row.deployment_key], []).append(usage)
        self._before = {key: (now_s, values.get("cpu_seconds", 0.0)) for key, values in used.items()}
        return {labels: _mean(usages) for labels, usages in readings.items()}

    def _cpu(self, world: World, row: Replica, values: Mapping[str, float], now_s: float) -> float:
        """Of the cores that its threads can keep busy."""
        before = self._before.get(row.id)
        if before is None or now_s <= before[0]:
            return 0.0
        rate = (values.get("cpu_seconds", 0.0) - before[1]) / (now_s - before[0])
        return max(0.0, 100.0 * rate / max(1, min(row.slots, world.rules.cores)))

    def _memory(self, values: Mapping[str, float]) -> float:
        """Of its limit, or of the machine where it has none."""
        return 100.0 * values.get("rss_bytes", 0.0) / (values.get("memory_limit_bytes") or self._machine_bytes)


class Growth:
    """How much the replicas' own counts grow: remembers the reading before. A replica counts from zero; those that are there at the
    first reading were counted by the control process before this one."""

    def __init__(self) -> None:
        self._before: dict[str, dict[str, float]] | None = None

    def read(self, world: World, used: Used) -> list[tuple[Metric, tuple[str, str], float]]:
        """(counter, (endpoint name, served entity name), by how much) for those that have grown."""
        entities, before = _entities(world), self._before or {}
        grown: list[tuple[Metric, tuple[str, str], float]] = []
        now: dict[str, dict[str, float]] = {}
        for replica_id, values in used.items():
            row = world.replicas.get(replica_id)
            if row is None or row.deployment_key not in entities:
                continue
            known = before.get(replica_id, {})
            # An agent that has just connected to it knows nothing yet.
            now[replica_id] = {name: max(values.get(name, 0.0), known.get(name, 0.0)) for name in COUNTED}
            for name, metric in COUNTED.items() if self._before is not None else ():
                amount = now[replica_id][name] - known.get(name, 0.0)
                if amount > 0.0:
                    grown.append((metric, entities[row.deployment_key], amount))
        # The agent may only be away.
        self._before = {key: counts for key, counts in before.items() if key in world.replicas} | now
        return grown


def _entities(world: World) -> dict[str, tuple[str, str]]:
    """Deployment key -> (endpoint name, served entity name)."""
    return {
        entity.deployment_key(endpoint.id): (endpoint.name, entity.name)
        for endpoint in world.endpoints
        for generation in (endpoint.wanted, endpoint.serving)
        if generation is not None
        for entity in generation.config.served_entities
    }


def _mean(usages: list[Usage]) -> Usage:
    count = len(usages)
    return Usage(sum(u.cpu_percentage for u in usages) / count, sum(u.memory_percentage for u in usages) / count)
