"""When a deployment whose replicas die may start another one. Pure, and read from its rows alone, so that a restarted control
waits just as long."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from headgate.control.world import Rules
from headgate.domain.replica import Replica, ReplicaState


@dataclass(frozen=True, slots=True)
class Streak:
    """Failures in a row."""

    waves: int = 0
    """Replicas that were alive together and failed together count once."""
    last_failed_at_ms: int = 0


def streak(rows: Iterable[Replica], rules: Rules, now_ms: int) -> Streak:
    """Failures since a replica last lived long enough (`restart_backoff_max_s`) to be called stable. `rows`: oldest first."""
    stable_ms = rules.restart_backoff_max_s * 1000
    waves, wave_ended_at, last = 0, 0, 0
    for row in rows:
        lived_ms = (row.ended_at_ms or now_ms) - row.ready_at_ms if row.ready_at_ms else 0
        if row.ready_at_ms and lived_ms >= stable_ms:
            waves, wave_ended_at = 0, 0
        elif row.state is ReplicaState.FAILED:
            joins = waves > 0 and row.created_at_ms < wave_ended_at
            waves += 0 if joins else 1
            wave_ended_at = min(wave_ended_at, row.ended_at_ms) if joins else row.ended_at_ms
            last = max(last, row.ended_at_ms)
    return Streak(waves, last)


def allowed_starts(rows: tuple[Replica, ...], missing: int, rules: Rules, now_ms: int) -> int:
    """How many of the missing replicas may be started now.

    All, as long as there was at most one wave of failures; after more, one at a time, each later than the one before.
    """
    found = streak(rows, rules, now_ms)
    if found.waves <= 1:
        return missing
    if any(row.state is ReplicaState.STARTING for row in rows):
        return 0
    wait_s = min(rules.restart_backoff_s * 2 ** min(found.waves - 2, 30), rules.restart_backoff_max_s)
    return min(missing, 1) if now_ms >= found.last_failed_at_ms + wait_s * 1000 else 0
