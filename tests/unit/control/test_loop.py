"""The loop itself: wakes for notices, keeps its lease, costs nothing while everything sleeps."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.unit.control.simulation import SETTINGS, House, entity

from headgate import notices
from headgate.clock import SystemClock
from headgate.control import loop, usage
from headgate.control.loop import Control, Ports
from headgate.domain.replica import ReplicaState
from headgate.replicas.runtime import Observation
from headgate.settings import ScalingSettings
from headgate.store import leases, tables
from headgate.telemetry import metrics
from headgate.telemetry.counting import Metrics

SLEEPY = entity("1", scale_to_zero_enabled=True)


async def until(condition: Callable[[], object], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        await asyncio.sleep(0.002)


@contextlib.asynccontextmanager
async def running(house: House, run_dir: Path, lap_s: float = 600.0) -> AsyncIterator[tuple[Ports, notices.Announcer]]:
    """A control in real time that would look only every ten minutes if nobody told it to; and a way to tell it."""
    announcer = notices.Announcer(run_dir)
    house.database._announcer = announcer
    settings = dataclasses.replace(SETTINGS, scaling=ScalingSettings(lap_s=lap_s))
    counted = Metrics(run_dir / "metrics", "control")
    clock = SystemClock()
    ports = Ports(house.database, house.machine, house._describe, settings, clock, run_dir, counted, cores=2)
    stop = asyncio.Event()
    task = asyncio.create_task(loop.run(ports, stop))
    try:
        await until(lambda: house.machine.observed)
        house.clock.ms = clock.now_ms()
        yield ports, announcer
    finally:
        stop.set()
        await asyncio.wait_for(task, 30)
        house.database._announcer = None
        announcer.close()


def test_notices_drive_it_from_wish_to_traffic(house: House, short_dir: Path) -> None:
    async def live() -> None:
        async with running(house, short_dir) as (ports, agent):
            house.create("churn", entity("1"))
            await until(lambda: house.machine.environments)
            for _ in range(2):
                house.machine.tick()
                agent.announce("agent")
                await until(lambda: house.machine.specs or house.ready())
            await until(lambda: house.endpoints.get("churn").serving is not None)
        assert leases.acquire(house.database, leases.Claim("control", "next", 0, 1)), "the lease was given back"
        assert ports.counted.number(metrics.ACTIONS, "PointTraffic", "done").value == 1

    asyncio.run(live())


def test_a_call_for_a_sleeping_entity_is_answered_within_milliseconds(house: House, short_dir: Path) -> None:
    async def live() -> None:
        house.create("churn", SLEEPY)
        await house.laps(50)
        assert house.rows(ReplicaState.READY, ReplicaState.STARTING) == []
        house.machine.observed = 0
        async with running(house, short_dir) as (_, agent):
            began = time.monotonic()
            house.call("churn", SLEEPY)
            await until(lambda: house.rows(ReplicaState.STARTING) and len(house.machine.replicas) == 1)
            house.machine.tick()
            agent.announce("agent")
            await until(lambda: house.ready() == ["m-1"])
            took_s = time.monotonic() - began
        # Two laps; a tenth of a second would already be a poll somewhere. Generous, since the machine may be busy.
        assert took_s < 3.0

    asyncio.run(live())


def test_a_failing_store_ends_a_lap_and_not_the_loop(house: House, short_dir: Path) -> None:
    async def live() -> None:
        async with running(house, short_dir, lap_s=0.01) as (ports, _):
            with house.database.engine.begin() as connection:
                connection.execute(sa.text("ALTER TABLE replicas RENAME TO hidden"))
            house.create("churn", entity("1"))
            await until(lambda: ports.counted.number(metrics.ACTIONS, "lap", "error").value > 0)
            with house.database.engine.begin() as connection:
                connection.execute(sa.text("ALTER TABLE hidden RENAME TO replicas"))
            await until(lambda: house.machine.environments)

    asyncio.run(live())


def test_an_agent_that_hangs_is_an_agent_that_is_away(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs() -> object:
        await asyncio.Event().wait()
        return None

    async def live() -> None:
        house.create("churn", entity("1"))
        await house.laps(4)
        rows = house.rows()
        monkeypatch.setattr("headgate.control.observe.RUNTIME_DEADLINE_S", 0.01)
        monkeypatch.setattr(house.machine, "observe", hangs)
        await house.laps(2)
        assert house.rows() == rows

    asyncio.run(live())


def test_with_everything_asleep_a_lap_asks_little_and_nobody_but_the_store(house: House) -> None:
    async def live() -> None:
        for number in range(30):
            house.create(f"churn{number}", SLEEPY)
        await house.laps(60)
        assert house.rows(ReplicaState.READY, ReplicaState.STARTING, ReplicaState.DRAINING) == []
        statements: list[str] = []
        sa.event.listen(house.database.engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
        house.machine.observed = 0
        laps = 20
        for _ in range(laps):
            assert not await house.control.lap()
            house.clock.ms += 250
        asked = [statement for statement in statements if statement.startswith("SELECT")]
        assert len(asked) <= laps * 3 + 5, "now and then it tidies up"
        assert not any("FROM endpoints" in statement for statement in asked)
        assert house.machine.observed <= 2

    asyncio.run(live())


def test_a_lost_lease_ends_acting_within_the_lap(house: House) -> None:
    async def live() -> None:
        await house.control.lap()
        house.create("churn", entity("1"))

        observe = house.machine.observe

        async def slow() -> object:
            house.clock.ms += 9_500
            return await observe()

        house.machine.observe = slow  # type: ignore[method-assign,assignment]
        await house.control.lap()
        assert house.machine.environments == {}

    asyncio.run(live())


def test_what_followed_a_void_action_is_void_too(house: House) -> None:
    async def live() -> None:
        one = entity("1")
        house.create("churn", one)
        await house.laps(4)
        house.machine.kill(house.rows(ReplicaState.READY)[0].id)
        house.update("churn", one)
        observe = house.machine.observe

        async def meanwhile_it_is_deleted() -> Observation:
            house.machine.observe = observe  # type: ignore[method-assign]
            house.endpoints.delete("churn", house.clock.now_ms())
            return await observe()

        house.machine.observe = meanwhile_it_is_deleted  # type: ignore[method-assign]
        await house.control.lap()  # planned: the replica failed, traffic as wished, a replacement
        assert [row.state for row in house.rows()] == [ReplicaState.FAILED]
        assert len(house.machine.specs) == 1

    asyncio.run(live())


def test_usage_is_shown_per_served_entity(house: House, tmp_path: Path) -> None:
    async def live() -> None:
        house.create("churn", entity("1"))
        await house.laps(4)
        world = house.control._world
        assert world is not None
        (row,) = house.rows(ReplicaState.READY)
        meter = loop.Meter(machine_bytes=1000)
        limits = {"memory_limit_bytes": 200.0}
        meter.read(world, {row.id: {"cpu_seconds": 1.0, "rss_bytes": 100.0, **limits}}, now_s=10.0)
        usages = meter.read(world, {row.id: {"cpu_seconds": 2.0, "rss_bytes": 150.0, **limits}, "x": {}}, now_s=11.0)
        (usage,) = usages.values()
        assert list(usages) == [("churn", "m-1")]
        assert (usage.cpu_percentage, usage.memory_percentage) == (50.0, 75.0), "one of two cores; of its limit"

    asyncio.run(live())


def test_what_replicas_count_is_added_up_per_served_entity(house: House, tmp_path: Path) -> None:
    async def live() -> None:
        house.create("churn", entity("1"))
        await house.laps(4)
        world = house.control._world
        assert world is not None
        (row,) = house.rows(ReplicaState.READY)
        growth, churn = usage.Growth(), ("churn", "m-1")
        assert growth.read(world, {}) == []
        counts = {"batches": 2.0, "joined": 9.0, "mismatches": 0.0}
        assert growth.read(world, {row.id: counts, "x": counts}) == [
            (metrics.BATCHES, churn, 2.0),
            (metrics.JOINED, churn, 9.0),
        ]
        assert growth.read(world, {row.id: counts}) == []
        # The agent was away for a while, and knows nothing of it at first.
        assert growth.read(world, {}) == []
        assert growth.read(world, {row.id: {"cpu_seconds": 1.0}}) == []
        assert growth.read(world, {row.id: counts | {"mismatches": 1.0}}) == [(metrics.MISMATCHES, churn, 1.0)]
        # A new control process finds a replica that was counted before.
        new = usage.Growth()
        assert new.read(world, {row.id: counts}) == []
        assert new.read(world, {row.id: counts | {"joined": 10.0}}) == [(metrics.JOINED, churn, 1.0)]

    asyncio.run(live())


def test_the_second_of_two_on_one_store_waits_for_the_lease(house: House) -> None:
    async def live() -> None:
        await house.control.lap()
        with house.database.read() as connection:
            holder = connection.execute(sa.select(tables.leases.c.holder)).scalar()
        other: Control = house.new_control()
        assert not await other.lap() and other._world is None
        with house.database.read() as connection:
            assert connection.execute(sa.select(tables.leases.c.holder)).scalar() == holder

    asyncio.run(live())
