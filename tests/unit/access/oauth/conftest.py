"""A clock moved by hand and a database for the tests of our own tokens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headgate.access.sealing import Keyring, Sealer
from headgate.store import schema
from headgate.store.database import Database


class HandClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def now_ms(self) -> int:
        return self.ms

    def monotonic_s(self) -> float:
        return self.ms / 1000.0

    def pass_s(self, seconds: float) -> None:
        self.ms += int(seconds * 1000)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def sealer() -> Sealer:
    return Sealer(Keyring([b"k" * 32]))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/oauth.db")
    schema.metadata.create_all(made.engine)
    yield made
    made.close()
