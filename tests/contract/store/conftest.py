"""Every repository test runs on SQLite and, where a server is there, on PostgreSQL."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from headgate.store import schema
from headgate.store.database import Database

# CI starts a server and sets this; a laptop without one skips.
POSTGRESQL_URL = os.environ.get("HEADGATE_TEST_POSTGRESQL_URL", "")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with opened(request.param, tmp_path) as made:
        yield made


@contextmanager
def opened(kind: str, folder: Path) -> Iterator[Database]:
    """An empty database of that kind; it is gone afterwards. Skips where there is no server for it."""
    if kind == "sqlite":
        made = Database(f"sqlite:///{folder}/store.db")
        schema.upgrade(made)
        yield made
        made.close()
        return
    if not POSTGRESQL_URL:
        pytest.skip("HEADGATE_TEST_POSTGRESQL_URL is not set")
    name = f"headgate_{uuid.uuid4().hex[:12]}"
    server = sa.create_engine(POSTGRESQL_URL, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    made = Database(sa.make_url(POSTGRESQL_URL).set(database=name).render_as_string(hide_password=False))
    schema.upgrade(made)
    yield made
    made.close()
    with server.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name}"))
    server.dispose()
