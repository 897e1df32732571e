"""What a request waited for that found nobody awake: the phases of a replica's start, as header and as histograms. Pure.

Called by `deployment` when the first replica of a sleeping deployment can be asked.
"""

from __future__ import annotations

from collections.abc import Mapping

HEADER = b"x-headgate-wake"
PHASES = ("environment", "fork", "import", "load", "first_predict", "prove")
"""Of a replica's start, in their order; `headgate_worker.protocol` says who tells them. Before them all: `queue`."""


def phases(held_ms: float, told: Mapping[str, object], ready_ms: float) -> dict[str, float]:
    """Milliseconds per phase of the last `held_ms`, which they add up to. `told`: how long each phase of the start took;
    `ready_ms`: how long ago it was over. What no phase accounts for is `queue`: noticing the request, deciding, routing.
    """
    found: dict[str, float] = {}
    left_ms = held_ms - max(0.0, ready_ms)
    for phase in reversed(PHASES):
        took_ms = told.get(phase)
        # Who came while the replica was starting already has not waited for what was over by then.
        found[phase] = max(0.0, min(left_ms, took_ms)) if isinstance(took_ms, int | float) else 0.0
        left_ms -= found[phase]
    found["queue"] = max(0.0, held_ms - sum(found.values()))
    return {phase: found[phase] for phase in ("queue", *PHASES)}


def text(waited_ms: Mapping[str, float]) -> bytes:
    """The header's value: `queue=12;environment=0;fork=5;…`, whole milliseconds."""
    return ";".join(f"{phase}={milliseconds:.0f}" for phase, milliseconds in waited_ms.items()).encode()
