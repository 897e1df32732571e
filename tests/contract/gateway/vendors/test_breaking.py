"""The circuit breaker over real sockets: vendors that go down and come back."""

from __future__ import annotations

from pathlib import Path

from tests.contract.gateway.bench import Run, until
from tests.contract.gateway.vendors.outside import HELLO, SAID, outside, text_of

from headgate.clock import SystemClock

OPEN_S = 30.0


class MovedClock(SystemClock):
    """Real time, and what the test adds to it."""

    def __init__(self) -> None:
        self.moved_s = 0.0
        self._real = SystemClock.monotonic_s
        self.monotonic_s = lambda: self._real() + self.moved_s  # type: ignore[method-assign]


STATE = 'headgate_breaker_state{endpoint="churn",served_entity="first"}'


def test_a_vendor_that_is_down_is_left_alone_until_one_request_tries_it(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        clock = MovedClock()
        providers = {"breaker_failures": 3, "breaker_open_s": OPEN_S}
        async with outside(tmp_path, providers=providers, needs={"clock": clock}) as out:
            script = out.act("first", status=500)
            await out.serve(out.entity("first", 100), out.entity("second", 0))
            for _ in range(10):
                assert text_of(await out.ask()) == SAID
            assert script.count == 3 and out.bench.metric(STATE) == 1
            # It takes requests again, and is slow: one waits for it, the others do not.
            clock.moved_s += OPEN_S + 1
            out.act("first", hold_from=-1)
            slow = out.send(HELLO)
            await until(lambda: script.count == 4)
            assert out.bench.metric(STATE) == 2
            for _ in range(5):
                assert (await out.ask()).headers["served-model-name"] == "second"
            script.going_on = True
            assert (await slow.done()).headers["served-model-name"] == "first" and script.count == 4
            assert out.bench.metric(STATE) == 0
            assert (await out.ask()).headers["served-model-name"] == "first"

    run(main())


def test_one_that_fails_the_trial_is_left_alone_again(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        clock = MovedClock()
        providers = {"breaker_failures": 1, "breaker_open_s": OPEN_S}
        async with outside(tmp_path, providers=providers, needs={"clock": clock}) as out:
            script = out.act("first", status=502)
            await out.serve(out.entity("first", 100), out.entity("second", 0))
            for expected in (1, 1, 1):
                await out.ask()
                assert script.count == expected
            clock.moved_s += OPEN_S + 1
            for expected in (2, 2, 2):
                assert text_of(await out.ask()) == SAID
                assert script.count == expected

    run(main())


def test_when_nobody_is_well_the_chosen_one_is_asked_all_the_same(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path, providers={"breaker_failures": 1, "breaker_open_s": 600.0}) as out:
            script = out.act("first", status=500)
            out.act("second", status=503)
            await out.serve(out.entity("first", 100), out.entity("second", 0))
            for _ in range(3):
                assert (await out.ask()).status == 503
                assert out.attempts() == [("first", 500), ("second", 503)]
            out.act("first")
            assert text_of(await out.ask()) == SAID and script.count == 4, "back at once, without a trial"
            assert out.bench.metric(STATE) == 0

    run(main())


def test_a_client_that_leaves_during_the_trial_hands_it_to_the_next(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        clock = MovedClock()
        providers = {"breaker_failures": 1, "breaker_open_s": OPEN_S}
        async with outside(tmp_path, providers=providers, needs={"clock": clock}) as out:
            script = out.act("first", status=500)
            await out.serve(out.entity("first", 100), out.entity("second", 0))
            await out.ask()
            clock.moved_s += OPEN_S + 1
            out.act("first", delay_s=600.0)
            client = out.send(HELLO)
            await until(lambda: script.busy == 1)
            client.leave()
            await until(lambda: script.left == 1)
            out.act("first")
            assert (await out.ask()).headers["served-model-name"] == "first"

    run(main())


def test_streams_that_break_in_the_middle_open_it_too(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path, providers={"breaker_failures": 3, "breaker_open_s": 600.0}) as out:
            script = out.act("first", hang_up_after_pieces=3)
            await out.serve(out.entity("first", 100), out.entity("second", 0))
            for _ in range(6):
                await out.stream()
            assert script.count == 3 and out.call.entity.name == "second"

    run(main())


def test_refusals_and_clients_that_leave_say_nothing_against_a_vendor(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path, providers={"breaker_failures": 1, "breaker_open_s": 600.0}) as out:
            script = out.act("first", status=400)
            await out.serve(out.entity("first", 100), out.entity("second", 0))
            assert [(await out.ask()).status for _ in range(3)] == [400] * 3
            out.act("first", delay_s=600.0)
            client = out.send(HELLO)
            await until(lambda: script.busy == 1)
            client.leave()
            await until(lambda: script.left == 1)
            out.act("first")
            assert text_of(await out.ask()) == SAID and script.count == 5

    run(main())
