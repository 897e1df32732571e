"""Queues, deadlines and demand of one deployment, with time moved by hand and links that are not there."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from headgate import errors
from headgate.domain.routing import EndpointRoute, EntityRoute
from headgate.gateway.call import Call, Head
from headgate.gateway.deployment import Deployment, Moved, Terms
from headgate.gateway.links import Connection
from headgate.telemetry.counting import Metrics

HEAD = Head("POST", "/x", "churn", None, {}, None, b"")


class HandClock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic_s(self) -> float:
        return self.now_s

    def now_ms(self) -> int:
        return int(self.now_s * 1000)


class Line:
    """Stands for a connection: only its slots matter here."""

    def __init__(self, window: int = 1) -> None:
        self.window, self.taken, self.usable, self.retired, self.closed = window, 0, True, False, False
        self.phases_ms: dict[str, float] = {}
        self.ready_ms = 0.0

    def close(self) -> None:
        self.closed = True


class Place:
    """A deployment and what surrounds it."""

    def __init__(self, folder: Path, *, queue: int = 10, wake_s: float = 60.0, problem: str = "") -> None:
        self.clock = HandClock()
        self.demands: list[str] = []
        terms = Terms(self.clock, queue, wake_s, lambda _, key: self.demands.append(key), Metrics(folder, "server-0"))
        entity = EntityRoute("churn-1", "m", "1", "key", 100, 4, (), problem)
        self.deployment = Deployment(EndpointRoute("id", "churn", "READY", (entity,)), entity, terms)

    def connect(self, line: Line) -> None:
        self.deployment.connected(cast(Connection, line))

    def lose(self, line: Line) -> None:
        self.deployment.lost(cast(Connection, line))

    def release(self, line: Line) -> None:
        self.deployment.release(cast(Connection, line))

    def wait(self, execution_s: float = 100.0) -> tuple[Call, asyncio.Task[Any]]:
        now_s = self.clock.now_s
        call = Call(HEAD, b"", 0, now_s, now_s + execution_s)
        return call, asyncio.ensure_future(self.deployment.wait(call))

    async def after(self, seconds: float) -> None:
        await turn()
        self.clock.now_s += seconds
        self.deployment.tick(self.clock.now_s)
        await turn()


async def turn() -> None:
    """Lets everything that can run do so."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_demand_is_repeated_once_a_second_while_somebody_waits(tmp_path: Path) -> None:
    async def live() -> None:
        place = Place(tmp_path)
        waits = [place.wait()[1] for _ in range(5)]
        await turn()
        assert place.demands == ["key"]
        await place.after(0.5)
        assert place.demands == ["key"]
        await place.after(0.5)
        assert place.demands == ["key", "key"]
        place.connect(Line(window=5))
        await asyncio.gather(*waits)
        await place.after(5)
        assert place.demands == ["key", "key"]

    asyncio.run(live())


def test_time_asleep_is_added_to_the_deadline(tmp_path: Path) -> None:
    async def live() -> None:
        place = Place(tmp_path)
        call, wait = place.wait(execution_s=10)
        await place.after(50)
        assert not wait.done()
        place.connect(Line())
        await wait
        assert call.deadline_s == 1000 + 10 + 50

    asyncio.run(live())


def test_time_in_the_queue_of_an_awake_entity_is_not_added(tmp_path: Path) -> None:
    async def live() -> None:
        place, line = Place(tmp_path), Line()
        place.connect(line)
        assert place.deployment.take() is cast(Any, line)
        call, wait = place.wait(execution_s=10)
        await place.after(9)
        place.release(line)
        await wait
        assert call.deadline_s == 1010

    asyncio.run(live())


def test_only_the_part_that_was_asleep_is_added(tmp_path: Path) -> None:
    async def live() -> None:
        place, line = Place(tmp_path), Line()
        place.connect(line)
        place.deployment.take()
        call, wait = place.wait(execution_s=10)
        await place.after(4)
        place.lose(line)
        await place.after(30)
        assert not wait.done()
        place.connect(Line())
        await wait
        assert call.deadline_s == 1040

    asyncio.run(live())


def test_a_wait_for_a_slot_ends_at_the_execution_limit(tmp_path: Path) -> None:
    async def live() -> None:
        place = Place(tmp_path)
        place.connect(Line())
        place.deployment.take()
        _, wait = place.wait(execution_s=10)
        await place.after(10)
        assert not wait.done()
        await place.after(0.1)
        with pytest.raises(errors.DeadlineExceeded, match="Request processing time exceeded limit"):
            await wait

    asyncio.run(live())


def test_a_wait_for_a_replica_ends_at_the_wake_deadline_naming_the_cause(tmp_path: Path) -> None:
    async def live() -> None:
        place = Place(tmp_path, wake_s=60, problem="ImportError: no")
        _, wait = place.wait(execution_s=10)
        await place.after(60)
        assert not wait.done()
        await place.after(0.1)
        with pytest.raises(errors.DeadlineExceeded, match="within 60 s: ImportError: no"):
            await wait
        assert place.deployment.queued == 0

    asyncio.run(live())


def test_without_a_known_cause_it_says_that_it_still_starts(tmp_path: Path) -> None:
    async def live() -> None:
        place = Place(tmp_path)
        _, wait = place.wait()
        await place.after(61)
        with pytest.raises(errors.DeadlineExceeded, match="still starting"):
            await wait

    asyncio.run(live())


def test_the_queue_is_bounded(tmp_path: Path) -> None:
    async def live() -> None:
        place = Place(tmp_path, queue=2)
        waits = [place.wait()[1] for _ in range(3)]
        await turn()
        with pytest.raises(errors.TooManyRequests, match="Too many concurrent requests"):
            await waits[2]
        place.connect(Line(window=2))
        await asyncio.gather(*waits[:2])

    asyncio.run(live())


def test_a_slot_goes_to_who_waits_longest(tmp_path: Path) -> None:
    async def live() -> None:
        place, line = Place(tmp_path), Line(window=1)
        waits = [place.wait()[1] for _ in range(3)]
        await turn()
        place.connect(line)
        await turn()
        assert [wait.done() for wait in waits] == [True, False, False]
        assert place.deployment.take() is None, "who comes now does not overtake"
        place.release(line)
        await turn()
        assert [wait.done() for wait in waits] == [True, True, False]
        assert line.taken == 1
        place.release(line)
        await turn()
        place.release(line)
        assert line.taken == 0

    asyncio.run(live())


def test_a_slot_handed_to_somebody_who_left_in_that_turn_is_not_lost(tmp_path: Path) -> None:
    async def live() -> None:
        place, line = Place(tmp_path), Line()
        _, leaving = place.wait()
        await turn()
        place.connect(line)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        assert line.taken == 0
        assert place.deployment.take() is cast(Any, line)

    asyncio.run(live())


def test_a_slot_that_comes_back_after_a_waiter_left_goes_to_the_next(tmp_path: Path) -> None:
    async def live() -> None:
        place, line = Place(tmp_path), Line()
        place.connect(line)
        place.deployment.take()
        waits = [place.wait()[1] for _ in range(2)]
        await turn()
        waits[0].cancel()
        place.release(line)
        assert await waits[1] is cast(Any, line)
        assert line.taken == 1

    asyncio.run(live())


def test_equals_take_turns(tmp_path: Path) -> None:
    async def live() -> None:
        place = Place(tmp_path)
        lines = [Line(window=4) for _ in range(3)]
        for line in lines:
            place.connect(line)
        taken = []
        for _ in range(6):
            connection = place.deployment.take()
            taken.append(lines.index(cast(Any, connection)))
            place.release(cast(Any, connection))
        assert sorted(taken) == [0, 0, 1, 1, 2, 2]

    asyncio.run(live())


def test_a_retired_deployment_sends_everybody_to_choose_again(tmp_path: Path) -> None:
    async def live() -> None:
        place = Place(tmp_path)
        _, wait = place.wait()
        await turn()
        place.deployment.retire()
        with pytest.raises(Moved):
            await wait
        with pytest.raises(Moved):
            place.deployment.take()
        assert place.deployment.gone

    asyncio.run(live())


def test_a_retired_connection_closes_with_its_last_request(tmp_path: Path) -> None:
    async def live() -> None:
        place, line = Place(tmp_path), Line(window=2)
        place.connect(line)
        place.deployment.take()
        place.deployment.take()
        line.retired, line.usable = True, False
        assert place.deployment.take() is None
        place.release(line)
        assert not line.closed
        place.release(line)
        assert line.closed

    asyncio.run(live())
