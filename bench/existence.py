"""Whether the time of an answer tells a stranger what exists: "hidden from you" against "does not exist", on a real house.

    PYTHONPATH=src:. python -m bench.existence [--rounds 2000] [--only PART …]

Asks in turn, in random order, over one connection, and prints per route both medians in µs and the chance of guessing right
which of two answers was about something that exists (0.5: none), with its 99% interval.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.scenario.house import House
from tests.wire.access import callers
from tests.wire.access import world as worlds
from tests.wire.access.judge import unknown
from tests.wire.access.table import whole
from tests.wire.access.table.rows import HIDDEN, Row
from tests.wire.access.world import World

_WARM = 20
_QUANTILE = 2.58


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2000, help="requests of each kind, per route")
    parser.add_argument("--only", nargs="*", default=[""], help="routes whose method and path contain one of these")
    arguments = parser.parse_args()
    with House(
        Path(tempfile.mkdtemp(prefix="headgate-bench-")) / "data",
        HEADGATE_WORKERS="1",
        HEADGATE_LIMITS_REFUSALS_PER_MINUTE="1000000",
    ) as house:
        world = callers.furnished(house)
        print("  unknown   hidden   chance of guessing right (99%)")
        for row in whole.rows():
            if row.rule.stranger == HIDDEN and any(part in str(row) for part in arguments.only):
                _print(row, *measure(world, row, arguments.rounds))
        world.close()


def measure(world: World, row: Row, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of answers about what does not exist and about what is hidden."""
    here = world.settled()
    words = (unknown(world, here), here)
    asks: list[Callable[[], None]] = [_asking(world, row, each) for each in words]
    times: tuple[list[float], list[float]] = ([], [])
    for round_ in range(rounds + _WARM):
        for which in random.sample((0, 1), 2):
            began = time.perf_counter()
            asks[which]()
            if round_ >= _WARM:
                times[which].append(time.perf_counter() - began)
    return times


def _asking(world: World, row: Row, words: worlds.Words) -> Callable[[], None]:
    path, body = world.fill(row.ask or row.path, words), world.fill(row.body, words)
    token = world.tokens["stranger"]

    def ask() -> None:
        answer = world.send(row.method, path, body, authorization=token)
        assert answer.status == 404, answer

    return ask


def chance(first: list[float], second: list[float]) -> float:
    """Of a random pair, how often the second is the larger one (the area under the ROC curve)."""
    ranked = sorted([(value, 0) for value in first] + [(value, 1) for value in second])
    ranks = sum(rank for rank, (_, kind) in enumerate(ranked, 1) if kind)
    return (ranks - len(second) * (len(second) + 1) / 2) / (len(first) * len(second))


def _print(row: Row, missing: list[float], hidden: list[float]) -> None:
    count = len(missing)
    margin = _QUANTILE * math.sqrt((2 * count + 1) / (12 * count * count))
    guess = chance(missing, hidden)
    medians = [f"{statistics.median(times) * 1e6:8.0f}" for times in (missing, hidden)]
    told = "" if abs(guess - 0.5) <= margin else "  <- tells"
    print(f"{medians[0]} {medians[1]}   {guess:.3f} ± {margin:.3f}  {row}{told}", flush=True)


if __name__ == "__main__":
    main()
