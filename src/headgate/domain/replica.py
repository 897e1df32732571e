"""A replica as the store knows it, and the moves its state may make (only `control.apply` moves one)."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class ReplicaState(str, enum.Enum):
    """Life of a replica."""

    STARTING = "STARTING"
    """Wished for; the agent prepares it or it loads its model."""
    READY = "READY"
    """In the routing table."""
    DRAINING = "DRAINING"
    """Out of the routing table, finishing what it has."""
    FAILED = "FAILED"
    """Did not come up, or died. Kept a while for its message."""
    STOPPED = "STOPPED"


MOVES: dict[ReplicaState, frozenset[ReplicaState]] = {
    ReplicaState.STARTING: frozenset({ReplicaState.READY, ReplicaState.FAILED, ReplicaState.STOPPED}),
    ReplicaState.READY: frozenset({ReplicaState.DRAINING, ReplicaState.FAILED, ReplicaState.STOPPED}),
    ReplicaState.DRAINING: frozenset({ReplicaState.STOPPED, ReplicaState.FAILED}),
    ReplicaState.FAILED: frozenset(),
    ReplicaState.STOPPED: frozenset(),
}
"""Allowed moves, from -> to."""


def may_move(source: ReplicaState, target: ReplicaState) -> bool:
    """Whether a replica in `source` may become `target`."""
    return target in MOVES[source]


@dataclass(frozen=True, slots=True)
class Replica:
    """One process that holds a model, as the store knows it."""

    id: str
    """Endpoint-unique, short, safe in a file name."""
    endpoint_id: str
    deployment_key: str
    entity_name: str
    """Name of the served entity it was started for (labels, logs)."""
    state: ReplicaState
    created_at_ms: int
    address: str = ""
    """Where servers reach it: `unix:/path` or `host:port`. Empty until READY."""
    slots: int = 1
    """Requests it executes at once."""
    ready_at_ms: int = 0
    ended_at_ms: int = 0
    message: str = ""
    """Why it failed, with the last log lines."""
    how: str = ""
    """`fork` or `exec`, and why not fork."""
    log_path: str = ""
    """File with its service log on the agent's machine."""
