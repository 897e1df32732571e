"""Waiting with a deadline: results, errors, time-outs, and cancellations that must not be lost."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from headgate.clock import within

Run = Callable[[Coroutine[Any, Any, None]], None]
DEADLINE_S = 30.0


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    chosen: Run = request.param
    return chosen


def test_a_result_in_time_is_returned_and_an_error_raised(run: Run) -> None:
    async def fail() -> None:
        raise OSError("no")

    async def live() -> None:
        assert await within(DEADLINE_S, asyncio.sleep(0, "done")) == "done"
        with pytest.raises(OSError, match="no"):
            await within(DEADLINE_S, fail())

    run(live())


def test_what_takes_too_long_is_cancelled_and_over_when_it_is_told(run: Run) -> None:
    ended: list[str] = []

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("endless")

    async def live() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await within(0.01, endless())
        assert ended == ["endless"]

    run(live())


def test_a_result_of_the_last_moment_counts_and_so_does_an_error(run: Run) -> None:
    async def stubborn(error: Exception | None) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if error is not None:
                raise error from None
        return "just in time"

    async def live() -> None:
        assert await within(0.01, stubborn(None)) == "just in time"
        with pytest.raises(OSError, match="too late"):
            await within(0.01, stubborn(OSError("too late")))

    run(live())


def test_a_cancellation_in_the_turn_of_the_result_is_not_lost(run: Run) -> None:
    async def live() -> None:
        loop = asyncio.get_running_loop()
        for turns in range(6):
            told = asyncio.Event()
            waiting = loop.create_task(within(DEADLINE_S, told.wait()))
            for _ in range(3):
                await asyncio.sleep(0)
            told.set()
            for _ in range(turns):
                await asyncio.sleep(0)
            if waiting.cancel():
                with pytest.raises(asyncio.CancelledError):
                    await waiting

    run(live())


def test_who_is_cancelled_takes_the_work_along_whatever_it_says(run: Run) -> None:
    async def grumble() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("not nice")

    async def live() -> None:
        work = asyncio.ensure_future(grumble())
        waiting = asyncio.ensure_future(within(DEADLINE_S, work))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert work.done()

    run(live())


class _Seen:
    """Stands for a large body."""


def test_what_an_error_has_seen_is_let_go_of_with_it(run: Run) -> None:
    async def fail(seen: list[weakref.ref[_Seen]]) -> None:
        large = _Seen()
        seen.append(weakref.ref(large))
        raise OSError("no")

    async def live() -> None:
        seen: list[weakref.ref[_Seen]] = []
        gc.disable()
        try:
            with pytest.raises(OSError, match="no"):
                await within(DEADLINE_S, fail(seen))
            await asyncio.sleep(0)
            assert seen[0]() is None
        finally:
            gc.enable()

    run(live())
