"""Turns the concurrency of a served entity into processes and threads. Pure; asked by control when it counts replicas.

CPU-bound models get processes up to the machine's cores, each with the threads that are left over; I/O-bound ones
(agents, chat models) get one process that holds all threads, since theirs mostly wait.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from headgate.domain.endpoint import ServedEntity


@dataclass(frozen=True, slots=True)
class Sizing:
    """How far a deployment may grow, and how wide each of its processes is."""

    max_processes: int
    slots_per_process: int
    """Requests one process executes at once."""

    def processes_for(self, requests: int) -> int:
        """Processes that execute this many requests at once, at most `max_processes`; 0 for none."""
        return min(-(-requests // self.slots_per_process), self.max_processes)


MEMORY_FACTORS: Mapping[str, int] = {"CPU_MEDIUM": 2, "CPU_LARGE": 4}
"""How much more memory than `CPU` a unit of concurrency of these workload types may use."""


def size(entity: ServedEntity, *, io_bound: bool, cores: int, processes_per_entity: int = 0) -> Sizing:
    """The sizing of an entity on a machine with `cores`; `processes_per_entity` 0 means one per core."""
    most = max(1, entity.concurrency()[1])
    if io_bound:
        return Sizing(1, most)
    processes = min(max(1, processes_per_entity or cores), most)
    return Sizing(processes, -(-most // processes))


def memory_bytes(workload_type: str, slots: int, per_concurrency_bytes: int) -> int:
    """Memory limit of one replica; 0 for none."""
    return per_concurrency_bytes * slots * MEMORY_FACTORS.get(workload_type, 1)
