"""The gateway's talk with the store: the routing table in, load and demand out, and a store that is away."""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.contract.gateway.bench import until

from headgate.clock import SystemClock
from headgate.domain.routing import EndpointRoute, EntityRoute, RoutingTable
from headgate.gateway import presence as gateway_presence
from headgate.gateway import switchboard
from headgate.gateway.capacity import Capacity
from headgate.gateway.deployment import Terms
from headgate.gateway.load import DemandWriter, LoadReporter
from headgate.gateway.presence import REPEAT_S, Presence, ServerRow
from headgate.gateway.switchboard import RoutingSource, Switchboard
from headgate.store.activity import Load
from headgate.store.servers import FRESH_MS
from headgate.telemetry import metrics
from headgate.telemetry.counting import Metrics


class Store:
    def __init__(self) -> None:
        self.table = RoutingTable(1, {})
        self.reads = 0
        self.away = False
        self.written: list[list[Load]] = []
        self.demands: list[tuple[str, str, int]] = []
        self.row: tuple[int, int] | None = None
        self.rows = 0

    def revision(self) -> int:
        if self.away:
            raise OSError("connection refused")
        return self.table.revision

    def read(self) -> RoutingTable:
        self.reads += 1
        return self.table

    def write(self, loads: list[Load], now_ms: int) -> None:
        if self.away:
            raise OSError("connection refused")
        self.written.append(loads)

    def demand(self, endpoint_id: str, key: str, now_ms: int) -> None:
        if self.away:
            raise OSError("connection refused")
        self.demands.append((endpoint_id, key, now_ms))

    def write_row(self, revision: int, seen_at_ms: int) -> None:
        if self.away:
            raise OSError("connection refused")
        self.row = (revision, seen_at_ms)
        self.rows += 1

    def remove_row(self) -> None:
        self.row = None


@dataclass
class HandClock:
    ms: int = 1000

    def now_ms(self) -> int:
        return self.ms

    def monotonic_s(self) -> float:
        return self.ms / 1000


def present(store: Store, counted: Metrics, clock: HandClock) -> tuple[Switchboard, Presence]:
    board = Switchboard(RoutingSource(store.revision, store.read), lambda table: None, counted, clock)
    return board, Presence(board, ServerRow(store.write_row, store.remove_row), counted)


def test_a_server_is_as_new_as_when_it_last_asked_the_store(tmp_path: Path) -> None:
    async def live() -> None:
        store, clock, counted = Store(), HandClock(), Metrics(tmp_path, "s")
        board, presence = present(store, counted, clock)
        await presence.report()
        assert store.row is None, "it has no table yet"
        await board.look()
        clock.ms = 1500
        await presence.report()
        assert store.row == (1, 1000)
        store.away = True
        await board.look()
        store.away = False
        await presence.report()
        assert (store.row, store.rows) == ((1, 1000), 1), "a look that failed proves nothing"
        await board.look()
        await presence.report()
        assert store.row == (1, 1500)

    asyncio.run(live())


def test_a_report_of_the_table_that_failed_is_counted_and_made_up_for(tmp_path: Path) -> None:
    async def live() -> None:
        store, counted = Store(), Metrics(tmp_path, "s")
        board, presence = present(store, counted, HandClock())
        await board.look()
        store.away = True
        await presence.report()
        assert counted.number(metrics.REPORT_FAILURES).value == 1
        store.away = False
        await presence.report()
        assert store.row == (1, 1000)

    asyncio.run(live())


def test_a_swap_is_reported_at_once_and_a_quiet_table_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def live(repeat_s: float) -> None:
        monkeypatch.setattr(gateway_presence, "REPEAT_S", repeat_s)
        store, clock = Store(), HandClock()
        board, presence = present(store, Metrics(tmp_path, "s"), clock)
        running = asyncio.ensure_future(presence.run())
        await board.look()
        presence.hint()
        await until(lambda: store.row == (1, 1000))
        clock.ms, store.table = 1001, RoutingTable(2, {})
        await board.look()
        if repeat_s > 1:
            presence.hint()
        await until(lambda: store.row == (2, 1001))
        running.cancel()

    asyncio.run(live(3600))
    asyncio.run(live(0.01))


def test_after_the_last_word_nothing_is_written(tmp_path: Path) -> None:
    async def live() -> None:
        store = Store()
        board, presence = present(store, Metrics(tmp_path, "s"), HandClock())
        await board.look()
        await presence.report()
        entered, go_on = threading.Event(), threading.Event()

        def slow(revision: int, seen_at_ms: int) -> None:
            entered.set()
            assert go_on.wait(30)
            store.write_row(revision, seen_at_ms)

        presence = Presence(board, ServerRow(slow, store.remove_row), Metrics(tmp_path, "s"))
        running = asyncio.ensure_future(presence.report())
        await until(entered.is_set)
        running.cancel()
        leaving = asyncio.ensure_future(presence.leave())
        await asyncio.sleep(0)
        go_on.set()
        await leaving
        assert (store.row, store.rows) == (None, 2)
        await presence.report()
        assert store.row is None

    asyncio.run(live())


def test_a_row_stays_fresh_between_two_reports() -> None:
    assert (REPEAT_S + switchboard.POLL_S) * 1000 < FRESH_MS


def test_the_table_is_read_only_when_its_revision_has_grown(tmp_path: Path) -> None:
    async def live() -> None:
        store, seen = Store(), []
        board = Switchboard(RoutingSource(store.revision, store.read), seen.append, Metrics(tmp_path, "s"))
        assert not board.loaded
        for _ in range(3):
            await board.look()
        assert (store.reads, board.loaded, seen) == (1, True, [store.table])
        store.table = RoutingTable(2, {})
        await board.look()
        assert board.table is store.table

    asyncio.run(live())


def test_a_store_that_is_away_is_logged_once_counted_and_the_table_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def live() -> None:
        store, counted = Store(), Metrics(tmp_path, "s")
        board = Switchboard(RoutingSource(store.revision, store.read), lambda table: None, counted)
        await board.look()
        store.away = True
        for _ in range(5):
            await board.look()
        assert board.table is store.table
        assert counted.number(metrics.ROUTING_FAILURES).value == 5
        assert len(caplog.records) == 1
        store.away = False
        with caplog.at_level(logging.INFO):
            await board.look()
        assert "can be read again" in caplog.text

    asyncio.run(live())


def test_changes_are_seen_without_a_notice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(switchboard, "POLL_S", 0.01)

    async def live() -> None:
        store = Store()
        board = Switchboard(RoutingSource(store.revision, store.read), lambda table: None, Metrics(tmp_path, "s"))
        running = asyncio.ensure_future(board.run())
        await until(lambda: board.loaded)
        store.table = RoutingTable(9, {})
        await until(lambda: board.table.revision == 9)
        running.cancel()

    asyncio.run(live())


def test_catching_up_is_shared_and_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def live() -> None:
        store = Store()
        board = Switchboard(RoutingSource(store.revision, store.read), lambda table: None, Metrics(tmp_path, "s"))
        monkeypatch.setattr(switchboard, "CATCH_UP_DEADLINE_S", 0.05)
        await board.catch_up()  # nobody runs it: the deadline ends the wait
        monkeypatch.setattr(switchboard, "CATCH_UP_DEADLINE_S", 30.0)
        running = asyncio.ensure_future(board.run())
        await asyncio.gather(*(board.catch_up() for _ in range(100)))
        assert board.loaded
        assert store.reads == 1
        running.cancel()

    asyncio.run(live())


def test_a_report_that_failed_is_made_up_for(tmp_path: Path) -> None:
    async def live() -> None:
        store, counted = Store(), Metrics(tmp_path, "s")
        entity = EntityRoute("churn-1", "m", "1", "key", 100, 4)
        capacity = Capacity(Terms(SystemClock(), 10, 60.0, lambda endpoint, key: None, counted))
        capacity.update(RoutingTable(1, {"churn": EndpointRoute("id", "churn", "READY", (entity,))}))
        reporter = LoadReporter(capacity, store.write, SystemClock(), counted)
        await reporter.report()
        assert store.written == [], "nobody asked for it yet"
        capacity.of("key").take()
        store.away = True
        await reporter.report()
        store.away = False
        await reporter.report()
        await reporter.report()
        assert [[load.deployment_key for load in loads] for loads in store.written] == [["key"]]
        assert counted.number(metrics.REPORT_FAILURES).value == 1

    asyncio.run(live())


def test_demands_are_written_one_after_the_other_and_once_each(tmp_path: Path) -> None:
    async def live() -> None:
        store, counted = Store(), Metrics(tmp_path, "s")
        writer = DemandWriter(store.demand, SystemClock(), counted)
        for _ in range(3):
            writer.ask("id", "a")
            writer.ask("id", "b")
        running = asyncio.ensure_future(writer.run())
        await until(lambda: len(store.demands) == 2)
        assert [demand[:2] for demand in store.demands] == [("id", "a"), ("id", "b")]
        store.away = True
        writer.ask("id", "c")
        await until(lambda: counted.number(metrics.REPORT_FAILURES).value == 1)
        store.away = False
        writer.ask("id", "c")
        await until(lambda: len(store.demands) == 3)
        running.cancel()

    asyncio.run(live())


def test_a_deployment_nobody_asked_makes_no_series(tmp_path: Path) -> None:
    async def live() -> None:
        counted = Metrics(tmp_path, "s")
        capacity = Capacity(Terms(SystemClock(), 10, 60.0, lambda endpoint, key: None, counted))
        routes = {
            f"e{i}": EndpointRoute(f"id{i}", f"e{i}", "READY", (EntityRoute("m-1", "m", "1", f"k{i}", 100, 4),))
            for i in range(200)
        }
        capacity.update(RoutingTable(1, routes))
        for deployment in capacity.all():
            deployment.measure()
        assert b'endpoint="' not in counted.render_all()

    asyncio.run(live())
