from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.contract.store.conftest import opened

from headgate.domain.quota import Ask, Line
from headgate.store.database import Database
from headgate.store.quota import Quotas
from headgate.store.quota_tables import quotas

NOW_MS = 1_700_000_000_000


@pytest.fixture(params=["sqlite", "postgresql"])
def store_of(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with opened(request.param, tmp_path) as made:
        yield made


def names(database: Database) -> set[str]:
    with database.read() as connection:
        return set(connection.execute(sa.select(quotas.c.name)).scalars())


def test_counters_nobody_uses_are_deleted_and_those_in_use_stay(store_of: Database) -> None:
    now_ms = NOW_MS
    store = Quotas(store_of, lambda: now_ms)
    store.exchange(Ask("a", 1, 10_000, (Line("old", 5, need=1),)))
    now_ms += 60_000
    store.exchange(Ask("a", 2, 10_000, (Line("new", 5, need=1),)))
    assert store.tidy(now_ms) == 0
    now_ms += 30_000
    assert store.tidy(now_ms) == 1
    assert names(store_of) == {"new"}
    store.exchange(Ask("a", 256, 10_000, (Line("newer", 5),)))  # now and then it does so itself
    now_ms += 200_000
    store.exchange(Ask("a", 512, 10_000, (Line("newer", 5),)))
    assert names(store_of) == {"newer"}
