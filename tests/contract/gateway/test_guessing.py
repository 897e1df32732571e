"""Refused credentials are answered later and later, through both doors; good ones of the same address at once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.contract.gateway.bench import Bench, Run, entity, until

from headgate.access.attempts import HOLD_S, MOST_HELD, Attempts

GUESS = {"headers": {"authorization": "Bearer guess"}}
LARGE = b"x" * 100_000


class Held:
    """Answers held back until the test lets them go."""

    def __init__(self, free: int = 1) -> None:
        self.slept: list[float] = []
        self.let_go = asyncio.Event()
        self.attempts = Attempts(free=free, sleep=self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await self.let_go.wait()


@pytest.mark.parametrize("body", [b"{}", LARGE], ids=["small", "large"])
def test_the_second_guess_waits_and_a_good_token_does_not(tmp_path: Path, run: Run, body: bytes) -> None:
    async def live() -> None:
        held = Held()
        async with Bench(tmp_path, attempts=held.attempts) as bench:
            await bench.serve(entity(await bench.worker()))
            assert (await bench.ask(body=body, **GUESS)).status == 401 and held.slept == []
            guess = bench.send(body=body, **GUESS)
            await until(lambda: held.slept == [HOLD_S])
            assert (await bench.ask(body=body)).status == 200
            assert guess.response.status == 0
            held.let_go.set()
            refused = await guess.done()
            assert (refused.status, refused.json()["error_code"]) == (401, "UNAUTHENTICATED")
            assert bench.metric('headgate_requests_refused_total{error_code="UNAUTHENTICATED"}') == 2

    run(live())


def test_too_many_guesses_are_turned_away_with_a_time_to_wait(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        held = Held()
        async with Bench(tmp_path, attempts=held.attempts) as bench:
            await bench.serve(entity(await bench.worker()))
            guesses = [bench.send(**GUESS) for _ in range(1 + MOST_HELD)]
            await until(lambda: len(held.slept) == MOST_HELD)
            turned_away = await bench.ask(**GUESS)
            assert (turned_away.status, turned_away.headers["retry-after"]) == (429, "2")
            assert turned_away.json()["error_code"] == "REQUEST_LIMIT_EXCEEDED"
            assert (await bench.ask()).status == 200
            held.let_go.set()
            assert {(await guess.done()).status for guess in guesses} == {401}

    run(live())


def test_one_who_hangs_up_while_the_answer_is_held_back_leaves_nothing_behind(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        held = Held(free=0)
        async with Bench(tmp_path, attempts=held.attempts) as bench:
            await bench.serve(entity(await bench.worker()))
            guess: Any = bench.send(**GUESS)
            await until(lambda: held.slept == [HOLD_S])
            guess.leave()
            await until(lambda: bench.gateway.routes.active == 0)
            assert (await bench.ask()).status == 200

    run(live())


def test_no_credential_at_all_is_refused_at_once(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        held = Held(free=0)
        async with Bench(tmp_path, attempts=held.attempts) as bench:
            await bench.serve(entity(await bench.worker()))
            for _ in range(3):
                assert (await bench.ask(headers={"authorization": ""})).status == 401
            assert held.slept == []

    run(live())
