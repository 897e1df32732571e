"""Tables in an object storage: the same, and what is spooled waits while that is away."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from tests.fakes.records import PAYLOAD, House, record
from tests.fakes.s3_server import S3Server, s3_server

from headgate import loaded
from headgate.domain.request_record import InferenceTable
from headgate.settings import Settings
from headgate.warehouse.sql.running import Queries, Visible
from headgate.warehouse.sql.statement import Statement
from headgate.warehouse.tables import delta, places


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


@pytest.fixture
def settings(server: S3Server, tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, storage=server.settings())


@pytest.fixture
def house(settings: Settings, tmp_path: Path) -> House:
    made = House(tmp_path)
    made.places = places.open_places(settings)
    return made


def test_requests_are_rows_there_and_can_be_asked_for(house: House) -> None:
    for number in range(3):
        house.put(record(f"r{number}"))
        house.load()
    assert len(house.read(PAYLOAD)) == 3
    tables = house.tables()
    assert tables.compact(PAYLOAD, date(2026, 1, 1)) == 3
    tables.vacuum(PAYLOAD)
    assert house.places.root.endswith("/pre/fix/tables")
    queries = Queries(house.places, house.settings)
    visible = Visible({places.ENDPOINT_USAGE: "endpoint_usage"}.get, lambda: [places.ENDPOINT_USAGE])
    asked = Statement("SELECT count(*), sum(cost_usd) > 0 FROM system.serving.endpoint_usage")
    rows = io.BytesIO()
    asyncio.run(queries.run(asked, visible, lambda _: rows))
    assert json.loads(rows.getvalue()) == [["3", "true"]]


def test_all_tables_are_found_there_by_who_looks_after_them(house: House, settings: Settings) -> None:
    odd = InferenceTable("main", "ünder.score", "churn")
    house.put(record("r1"), record("r2", inference_table=odd))
    house.load()
    found = loaded.names(settings, house.places)()
    assert sorted(found) == sorted([places.ENDPOINT_USAGE, PAYLOAD, places.payload_table(odd)])


def test_two_machines_write_the_same_tables(house: House, tmp_path: Path) -> None:
    other = House(tmp_path / "other")
    other.places = house.places
    for one in (house, other):
        one.put(record(f"{one.folder.name}"), replace(record(f"{one.folder.name}-more"), inference_table=None))
    loaders = [one.loader() for one in (house, other)]
    for loader in loaders:
        assert loader.lap()
    for one, loader in zip((house, other), loaders, strict=True):  # each knows an older version than there is
        one.put(record(f"{one.folder.name}-again"))
        assert loader.lap()
        loader.stop()
    assert len(house.usage()) == 6
    assert len(house.read(PAYLOAD)) == 4


def test_what_is_spooled_waits_while_the_storage_is_away(
    server: S3Server, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delta, "RETRYING", {"max_retries": "0", "timeout": "5s"})
    house.put(record("r1"))
    house.load()
    with server.away():
        house.put(record("r2"))
        house.load()
        assert len(list(house.spool_folder.glob("*.taken"))) == 1
    house.load()
    assert len(house.read(PAYLOAD)) == 2
    assert not list(house.spool_folder.glob("*.taken"))
