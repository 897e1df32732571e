"""The database is away under load, broken off or silent: requests are answered, and afterwards records and limits catch up."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError
from tests.fakes import severed
from tests.scenario.house import until
from tests.scenario.language.conftest import IMPATIENT
from tests.scenario.language_house import HELLO, SAID, LanguageHouse, language_house
from tests.scenario.load import SteadyLoad

pytestmark = pytest.mark.scenario
AWAY_S = float(os.environ.get("HEADGATE_TESTS_AWAY_S", "5"))
"""60 as the requirement says it; the same happens within a few seconds, since every deadline of the store's users is shorter."""
SERVERS = 2
LIMIT = 40


@pytest.fixture(scope="module")
def severable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LanguageHouse, severed.Way]]:
    with severed.database() as (url, way):
        settings = {**IMPATIENT, "HEADGATE_DATABASE_URL": url, "HEADGATE_WAREHOUSE_COMMIT_S": "0.5"}
        with language_house(tmp_path_factory.mktemp("severable") / "data", **settings) as there:
            yield there, way
            way.open()


@pytest.mark.parametrize("how", ["refuse", "silence"])
def test_requests_go_on_and_records_and_limits_catch_up(severable: tuple[LanguageHouse, severed.Way], how: str) -> None:
    there, way = severable
    name, limited = f"steady-{how}", f"limited-{how}"
    table = {"enabled": True, "catalog_name": "main", "schema_name": "default", "table_name_prefix": name}
    there.external_endpoint(name)
    there.put_ai_gateway(
        name,
        inference_table_config=table,
        usage_tracking_config={"enabled": True},
        rate_limits=[{"calls": 10**6, "key": "endpoint", "renewal_period": "minute"}],
    )
    there.external_endpoint(limited)
    there.put_ai_gateway(limited, rate_limits=[{"calls": LIMIT, "key": "endpoint", "renewal_period": "minute"}])
    with SteadyLoad(there.house.port, name, HELLO, connections=4, check=_is_said, pause_s=0.005) as load:
        load.more(200)
        getattr(way, how)()
        began_s = time.monotonic()
        statuses = Counter(there.ask(limited).status for _ in range(3 * LIMIT))
        windows = 1 + int((time.monotonic() - began_s) / 60)
        until(lambda: time.monotonic() > began_s + AWAY_S, "the database was away long enough", AWAY_S + 30)
        load.more(200)
        assert load.failures == [] and load.cut == 0 and load.refused == 0, load
        way.open()
        load.more(200)
    print(load)  # of interest when it was away for long
    assert load.failures == [] and load.cut == 0 and load.refused == 0, load
    # Alone, each server may let in its share once more, at most; what was let in is known to all afterwards.
    most = windows * (LIMIT + SERVERS * -(-LIMIT // SERVERS))
    assert set(statuses) <= {200, 429} and statuses[200] <= most, statuses
    until(lambda: there.ask(limited).status == 429, "the limit holds")
    until(lambda: len(_ids(there, name)) == load.answered, f"{load.answered} requests are in the table")
    ids = _ids(there, name)
    assert len(set(ids)) == len(ids)
    there.house.update(name, there.entity(f"{name}-new"))
    assert there.ask(name).headers["served-model-name"] == f"{name}-new"


def _is_said(told: Any) -> bool:
    return bool(told["choices"][0]["message"]["content"] == SAID)


def _ids(there: LanguageHouse, prefix: str) -> list[str]:
    """Of all rows of an inference table."""
    folder: Path = there.house.data_dir / "tables" / "main" / "default" / f"{prefix}_payload"
    try:
        table = DeltaTable(str(folder))
    except TableNotFoundError:
        return []
    found: list[str] = table.to_pyarrow_table(columns=["databricks_request_id"]).column(0).to_pylist()
    return found
