"""Which house runs models, and that houses of one database start one after the other."""

from __future__ import annotations

import threading
from pathlib import Path

from tests.contract.store.conftest import opened
from tests.scenario.house import until

from headgate.store import houses
from headgate.store.database import Database
from headgate.store.houses import House

FIRST, SECOND = House("a", "first:/data"), House("b", "second:/other data")


def test_the_first_house_runs_models_wherever_it_moves(database: Database) -> None:
    assert houses.models(database) is None
    assert houses.settle_models(database, FIRST) == FIRST
    moved = House("a", "elsewhere:/data")
    assert houses.settle_models(database, moved) == moved == houses.models(database)
    # A file is beside the one house that uses it, also when that lost its id.
    assert houses.settle_models(database, SECOND) == (SECOND if database.is_for_one_machine else moved)


def test_only_one_house_of_a_database_prepares_it_at_a_time(tmp_path: Path) -> None:
    with opened("postgresql", tmp_path) as database:
        entered, leave, order = threading.Event(), threading.Event(), list[str]()
        other = Database(database.url)

        def first() -> None:
            with database.alone():
                entered.set()
                leave.wait(30)
                order.append("first")

        def second() -> None:
            entered.wait(30)
            with other.alone():
                order.append("second")

        threads = [threading.Thread(target=one) for one in (first, second)]
        for thread in threads:
            thread.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        until(lambda: _scalar(database, waiting), "the second one waits", 30)
        leave.set()
        for thread in threads:
            thread.join(30)
        assert order == ["first", "second"]
        other.close()


def _scalar(database: Database, statement: str) -> int:
    with database.read() as connection:
        return int(connection.exec_driver_sql(statement).scalar_one())
