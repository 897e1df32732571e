"""What the replicas use, as the metrics show it: per cent of what they may, per served entity. Called by the loop every few seconds."""

from __future__ import annotations

from collections.abc import Mapping

from headgate.control.world import World
from headgate.domain.replica import Replica
from headgate.telemetry.counting import Usage

Used = Mapping[str, Mapping[str, float]]
"""Replica id -> `{"cpu_seconds": since its start, "rss_bytes", "memory_limit_bytes": 0 for none}`, as the agent says."""


class Meter:
    """Turns CPU seconds into a rate: remembers the reading before."""

    def __init__(self, machine_bytes: int) -> None:
        self._machine_bytes = machine_bytes
        self._before: dict[str, tuple[float, float]] = {}

    def read(self, world: World, used: Used, now_s: float) -> dict[tuple[str, str], Usage]:
        """Means over the replicas of each (endpoint name, served entity name)."""
        entities = {
            entity.deployment_key(endpoint.id): (endpoint.name, entity.name)
            for endpoint in world.endpoints
            for generation in (endpoint.wanted, endpoint.serving)
            if generation is not None
            for entity in generation.config.served_entities
        }
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


def _mean(usages: list[Usage]) -> Usage:
    count = len(usages)
    return Usage(sum(u.cpu_percentage for u in usages) / count, sum(u.memory_percentage for u in usages) / count)
