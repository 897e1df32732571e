from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headgate import recorded
from headgate.gateway.keeping import KeepsNothing
from headgate.settings import Settings
from headgate.telemetry.counting import Metrics
from headgate.warehouse import presence


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installation without two of the packages."""
    found = importlib.util.find_spec
    absent = ("deltalake", "duckdb")

    def find(name: str, *given: Any) -> Any:
        return None if name in absent else found(name, *given)

    monkeypatch.setattr(importlib.util, "find_spec", find)
    presence.missing.cache_clear()
    yield
    presence.missing.cache_clear()


def test_with_the_extra_nothing_is_missing() -> None:
    assert presence.missing() is None


def test_without_it_one_is_told_what_to_install(without: None) -> None:
    told = presence.missing()
    assert told is not None
    assert "deltalake, duckdb" in told
    assert "headgate[warehouse]" in told and "'.[warehouse]'" in told


def test_without_it_nothing_is_spooled_that_nobody_would_load(without: None, tmp_path: Path) -> None:
    kept = recorded.keeper(Settings(data_dir=tmp_path), Metrics(tmp_path / "metrics", "server-0"))
    assert isinstance(kept, KeepsNothing)
    assert not (tmp_path / "spool").exists()
