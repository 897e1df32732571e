"""The disk that everything lies on is full to the last byte, under load: requests go on or are refused as set, nothing is corrupt, and it goes on."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError
from tests.fakes import mounts
from tests.scenario.answered import AnsweredLoad
from tests.scenario.house import House, until
from tests.scenario.language.conftest import IMPATIENT
from tests.scenario.language_house import HELLO, LanguageHouse, language_house

pytestmark = pytest.mark.scenario
NAME = "crammed"


@contextmanager
def small_disk(folder: Path) -> Iterator[Callable[[bool], None]]:
    """Mounts one at the folder; fills it up or makes room on it again."""
    folder.mkdir()
    mounts.mount("-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder))
    filler = folder / "filler"

    def full(wanted: bool) -> None:
        filler.unlink(missing_ok=True)
        if not wanted:
            return
        with filler.open("wb", buffering=0) as out:
            for size in (1024**2, 4096, 1):
                try:
                    while True:
                        out.write(b"x" * size)
                except OSError:
                    pass

    try:
        yield full
    finally:
        subprocess.run(["umount", str(folder)], check=True, timeout=60)


@pytest.mark.parametrize("when_full", ["drop", "refuse"])
def test_a_full_disk_costs_records_or_refusals_and_nothing_else(tmp_path: Path, when_full: str) -> None:
    settings = {**IMPATIENT, "HEADGATE_WAREHOUSE_WHEN_FULL": when_full, "HEADGATE_WAREHOUSE_COMMIT_S": "0.3"}
    with small_disk(tmp_path / "data") as full:
        with language_house(tmp_path / "data", **settings) as there:
            there.external_endpoint(NAME)
            table = {"enabled": True, "catalog_name": "main", "schema_name": "default", "table_name_prefix": NAME}
            limits = [{"calls": 10**6, "key": "user", "renewal_period": "minute"}]
            there.put_ai_gateway(NAME, inference_table_config=table, rate_limits=limits)
            servers = there.house.pids("server")
            with AnsweredLoad(there.house, [NAME], HELLO, clients=2) as load:
                load.more(50)
                full(True)
                _go_on(there, load, when_full)
                full(False)
                before = load.count
                until(lambda: set(load.answered[NAME][before:]) & set(_ids(there)), "requests are kept again", 90)
            assert load.odd == [] and there.house.pids("server") == servers, load.odd[:3]
            there.house.update(NAME, there.entity(f"{NAME}-new"))
            assert there.ask(NAME).headers["served-model-name"] == f"{NAME}-new"
            if when_full == "refuse":
                until(lambda: set(load.answered[NAME]) <= set(_ids(there)), "whatever was answered is in the table", 90)
            found = _ids(there)
            assert len(set(found)) == len(found)
        with sqlite3.connect(tmp_path / "data" / "headgate.db") as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        database.close()


def _go_on(there: LanguageHouse, load: AnsweredLoad, when_full: str) -> None:
    """While there is no room."""
    if when_full == "refuse":
        until(lambda: load.refused > 20, "requests are refused")
        return
    until(lambda: _dropped(there.house) > 20, "requests are answered and not recorded")
    load.more(200)
    assert load.refused == 0


def _dropped(house: House) -> float:
    shown = house.request("GET", "/metrics").body.decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in shown if line.startswith("headgate_records_dropped_total"))


def _ids(there: LanguageHouse) -> list[str]:
    try:
        table = DeltaTable(str(there.house.data_dir / "tables" / "main" / "default" / f"{NAME}_payload"))
    except TableNotFoundError:
        return []
    found: list[str] = table.to_pyarrow_table(columns=["databricks_request_id"]).column(0).to_pylist()
    return found
