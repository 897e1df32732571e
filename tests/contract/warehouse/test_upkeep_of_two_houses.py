"""Two houses with one set of tables: one of them looks after those, or rows would be doubled."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.records import PAYLOAD, House, record

from headgate.clock import SystemClock
from headgate.store import schema
from headgate.store.database import Database
from headgate.store.turns import LASTS_S, Turn
from headgate.telemetry.counting import Metrics
from headgate.warehouse.upkeep import Upkeep


class MovedClock(SystemClock):
    def __init__(self) -> None:
        self.ahead_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.ahead_ms


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/x.db")
    schema.upgrade(made)
    yield made
    made.close()


def test_rows_are_there_once_however_both_look_after_them(database: Database, tmp_path: Path) -> None:
    first, second = House(tmp_path / "first"), House(tmp_path / "second")
    second.places = first.places
    for number in range(6):
        for one in (first, second):
            one.put(record(f"{one.folder.name}-{number}"))
            one.load()
    together = threading.Barrier(2)

    def look_after(one: House) -> None:
        turn = Turn(database, SystemClock(), one.folder.name)
        counted = Metrics(tmp_path / "metrics", one.folder.name)
        upkeep = Upkeep(one.tables(), lambda: turn.of([PAYLOAD]), SystemClock(), counted)
        together.wait(30)
        upkeep.round()

    threads = [threading.Thread(target=look_after, args=(one,)) for one in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    ids = [row["databricks_request_id"] for row in first.read(PAYLOAD)]
    assert len(ids) == len(set(ids)) == 12


def test_it_stays_with_one_house_until_that_is_gone(database: Database) -> None:
    clock = MovedClock()
    first, second = (Turn(database, clock, name) for name in ("first", "second"))
    assert list(first.of([1, 2])) == [1, 2] and list(second.of([1])) == []
    clock.ahead_ms += int(LASTS_S * 500)
    assert list(first.of([1])) == [1]
    clock.ahead_ms += int(LASTS_S * 600)
    assert list(second.of([1])) == [], "it was asked for since"
    clock.ahead_ms += int(LASTS_S * 500)
    assert list(second.of([1])) == [1] and list(first.of([1])) == []
    first.end()  # has nothing to end
    second.end()
    assert list(first.of([1])) == [1]


def test_without_a_database_nothing_is_looked_after(tmp_path: Path) -> None:
    empty = Database(f"sqlite:///{tmp_path}/empty.db")
    assert list(Turn(empty, SystemClock(), "first").of([1])) == []
    empty.close()
