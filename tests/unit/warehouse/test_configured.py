from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from headgate.settings import WarehouseSettings
from headgate.warehouse import configured


def test_settings_as_they_come_can_be_used() -> None:
    assert configured.refusal(WarehouseSettings()) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"durability": "perhaps"}, "warehouse.durability is 'perhaps'; it must be one of written, synced, queued"),
        ({"when_full": "cry"}, "warehouse.when_full is 'cry'; it must be one of drop, refuse"),
        ({"prices": "/nowhere/prices.json"}, "warehouse.prices: /nowhere/prices.json cannot be used"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_served(changes: dict[str, str], reason: str) -> None:
    refused = configured.refusal(replace(WarehouseSettings(), **changes))  # type: ignore[arg-type]
    assert refused is not None
    assert reason in refused


def test_prices_of_ones_own_are_looked_through(tmp_path: Path) -> None:
    file = tmp_path / "prices.json"
    file.write_text('{"prices": [{"provider": "openai", "model": "gpt-4o"}]}')
    refused = configured.refusal(replace(WarehouseSettings(), prices=str(file)))
    assert refused is not None
    assert "cannot be used" in refused
