"""Requests that found nobody awake are told what they waited for."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from tests.contract.gateway.bench import Bench, entity, until

Run = Callable[[Coroutine[Any, Any, None]], None]
PHASES = ["queue", "environment", "fork", "import", "load", "first_predict", "prove"]
LINE = 'headgate_wake_seconds_{what}{{endpoint="churn",phase="{phase}",served_entity="churn-1"}}'


def parts(header: str) -> dict[str, int]:
    return {phase: int(milliseconds) for phase, _, milliseconds in (part.partition("=") for part in header.split(";"))}


def test_every_request_that_was_held_is_told_the_phases_of_the_wake_and_who_came_later_is_not(
    tmp_path: Path, run: Run
) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            await bench.serve(entity())
            clients = [bench.send() for _ in range(3)]
            await until(lambda: bench.demands != [])
            worker = await bench.worker()
            # A start longer than anybody waited: then the last phases are all they waited for.
            worker.start_told = {"phases_ms": {"fork": 5.0, "load": 9_000_000.0}, "ready_ms": 0.5}
            await bench.serve(entity(worker))
            for client in clients:
                told = parts((await client.done()).headers["x-headgate-wake"])
                assert list(told) == PHASES
                assert told["load"] > 0 or told["queue"] <= 1
                assert told["fork"] == 0
            assert "x-headgate-wake" not in (await bench.ask()).headers
            assert bench.metric(LINE.format(what="count", phase="load")) == 1
            assert bench.metric(LINE.format(what="sum", phase="load")) > 0
            assert bench.metric(LINE.format(what="sum", phase="fork")) == 0

    run(live())


@pytest.mark.parametrize("told", [{}, {"phases_ms": None, "ready_ms": None}])
def test_a_wake_by_a_worker_that_says_nothing_of_its_start_is_all_queue(
    tmp_path: Path, run: Run, told: dict[str, object]
) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            await bench.serve(entity())
            client = bench.send()
            await until(lambda: bench.demands != [])
            worker = await bench.worker()
            worker.start_told = told
            await bench.serve(entity(worker))
            held = parts((await client.done()).headers["x-headgate-wake"])
            assert [phase for phase, milliseconds in held.items() if milliseconds] in ([], ["queue"])

    run(live())


def test_a_request_that_waits_for_a_slot_of_somebody_awake_was_not_held(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            worker = await bench.worker(window=1)
            await bench.serve(entity(worker))
            await bench.linked(1)
            answers = [await client.done() for client in [bench.send(), bench.send(), bench.send()]]
            assert not any("x-headgate-wake" in answer.headers for answer in answers)

    run(live())
