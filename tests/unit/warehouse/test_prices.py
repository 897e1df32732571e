from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import orjson
import pytest

from headgate.domain.usage import Usage
from headgate.settings import SettingsError
from headgate.warehouse import prices

TABLE = prices.load()


def cost(provider: str, model: str, usage: Usage, day: str = "2026-10-01") -> Decimal | None:
    price = TABLE.find(provider, model, day, usage.prompt_tokens)
    return None if price is None else price.of(usage)


def test_every_kind_of_token_has_its_price() -> None:
    usage = Usage(1_000_000, 1_000_000, cached_tokens=400_000, cache_creation_tokens=100_000)
    # 500 000 at 3 dollars per million, 400 000 at 0.3, 100 000 at 3.75, a million out at 15.
    assert (
        cost("anthropic", "claude-3-7-sonnet-20250219", usage)
        == Decimal("1.5") + Decimal("0.12") + Decimal("0.375") + 15
    )


def test_models_are_found_with_and_without_their_versions() -> None:
    usage = Usage(1_000_000, 0)
    assert cost("openai", "gpt-4o-mini", usage) == cost("openai", "GPT-4o-mini-2024-07-18", usage) == Decimal("0.15")
    assert cost("amazon-bedrock", "eu.anthropic.claude-3-haiku-20240307-v1:0", usage) == Decimal("0.25")
    assert cost("openai", "text-embedding-3-small", usage) == Decimal("0.02")


def test_what_is_not_known_costs_nothing_that_we_know_of() -> None:
    assert cost("openai", "gpt-4o-mini-of-somebody", Usage(1, 1)) is None
    assert cost("custom", "gpt-4o-mini", Usage(1, 1)) is None


def test_prices_hold_from_their_day_on() -> None:
    usage = Usage(1_000_000, 0)
    assert cost("openai", "o3", usage, "2025-06-09") == 10
    assert cost("openai", "o3", usage, "2025-06-10") == 2


def test_long_requests_may_cost_more() -> None:
    price = [TABLE.find("anthropic", "claude-sonnet-4-5", "2026-10-01", size) for size in (200_000, 200_001)]
    assert [item.input for item in price if item is not None] == [3, 6]


def test_a_price_says_where_it_is_from_and_as_of_when() -> None:
    price = TABLE.find("openai", "gpt-4o", "2026-10-01", 1)
    assert price is not None
    assert price.source.startswith("https://")
    assert "2026-" in price.source


def test_own_prices_come_first(tmp_path: Path) -> None:
    own = tmp_path / "prices.json"
    own.write_bytes(
        orjson.dumps({"prices": [
            {"provider": "openai", "model": "gpt-4o", "input": 1.5, "output": 3, "source": "our contract", "as_of": "2026-01-01"},
            {"provider": "custom", "model": "llama", "input": 0.1},
        ]})
    )  # fmt: skip
    table = prices.load(str(own))
    ours = table.find("openai", "gpt-4o-2024-08-06", "2026-10-01", 10)
    assert ours is not None
    assert ours.of(Usage(1_000_000, 1_000_000, cached_tokens=1_000_000)) == Decimal("4.5")
    assert ours.source == "our contract (2026-01-01)"
    assert table.find("custom", "llama", "2026-10-01", 10) is not None
    assert table.find("openai", "o3", "2026-10-01", 10) is not None


@pytest.mark.parametrize("content", ["", "[]", '{"prices":[{"provider":"x"}]}', '{"currency":"EUR","prices":[]}',
                                     '{"prices":[{"provider":"x","model":"y","input":-1}]}', '{"prices":[{"provider":"x","model":"y","input":"z"}]}'])  # fmt: skip
def test_a_file_that_cannot_be_used_says_so_at_start(tmp_path: Path, content: str) -> None:
    own = tmp_path / "prices.json"
    own.write_text(content)
    with pytest.raises(SettingsError, match=r"warehouse\.prices"):
        prices.load(str(own))
    with pytest.raises(SettingsError):
        prices.load(str(tmp_path / "absent.json"))
