"""What a request to a vendor cost, by a table of list prices. Pure but for reading the table; the loader asks once per request.

The table is data with a date and a source (`prices.json`); a file of the same form, named in the settings, comes before it. A model
that neither has costs nothing that we know of: its cost is absent, not zero.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

from headgate.domain.usage import Usage
from headgate.settings import SettingsError

BUILT_IN = Path(__file__).with_name("prices.json")
_PER = Decimal(1_000_000)
_SUFFIX = re.compile(r"(?:[-@](?:\d{4}-\d{2}-\d{2}|\d{8}|\d{3,4}|latest)|-v\d+(?::\d+)?|:\d+)+$")
"""Dates and versions at the end of a model's name, without which it is looked up too."""
_REGION = re.compile(r"^(?:us|eu|apac|jp|au|ca|sa|us-gov)\.")
"""Bedrock's inference profiles; `global.` ones have prices of their own."""
_NUMBERS = ("input", "cached_input", "cache_creation", "output")


@dataclass(frozen=True, slots=True)
class Price:
    """What a million tokens of a model cost, in US dollars."""

    provider: str
    model: str
    input: Decimal
    output: Decimal
    cached_input: Decimal
    """Input read from the vendor's cache."""
    cache_creation: Decimal
    """Input written to it."""
    source: str
    """Where from, and as of when."""
    since: str = ""
    """The first day it holds, `2025-06-10`."""
    above_input_tokens: int = 0
    """It holds for requests with more input than this."""

    def of(self, usage: Usage) -> Decimal:
        """What this usage costs, in US dollars."""
        plain = max(0, usage.prompt_tokens - usage.cached_tokens - usage.cache_creation_tokens)
        total = (
            plain * self.input
            + usage.cached_tokens * self.cached_input
            + usage.cache_creation_tokens * self.cache_creation
            + usage.completion_tokens * self.output
        )
        return total / _PER


class PriceTable:
    """Prices by provider and model."""

    def __init__(self, prices: list[Price]) -> None:
        """Earlier ones come before later ones of the same model and day."""
        self._prices: dict[tuple[str, str], list[Price]] = {}
        for price in prices:
            self._prices.setdefault((price.provider, price.model), []).append(price)

    def find(self, provider: str, model: str, day: str, input_tokens: int) -> Price | None:
        """The price of such a request on that day (`2025-06-10`)."""
        model = _REGION.sub("", model.lower())
        known = self._prices.get((provider, model)) or self._prices.get((provider, _SUFFIX.sub("", model)), [])
        fitting = [price for price in known if price.since <= day and price.above_input_tokens < max(1, input_tokens)]
        if not fitting:
            return None
        newest = max(price.since for price in fitting)
        return max((price for price in fitting if price.since == newest), key=lambda price: price.above_input_tokens)


def load(overrides: str = "") -> PriceTable:
    """The built-in table with a file's prices before it. Raises SettingsError."""
    prices = _read(BUILT_IN)
    if overrides:
        try:
            own = _read(Path(overrides).expanduser())
        except (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
            raise SettingsError(f"warehouse.prices: {overrides} cannot be used: {error!r}") from error
        replaced = {(price.provider, price.model) for price in own}
        prices = own + [price for price in prices if (price.provider, price.model) not in replaced]
    return PriceTable(prices)


def _read(path: Path) -> list[Price]:
    told = orjson.loads(path.read_bytes())
    if told.get("currency", "USD") != "USD" or told.get("per_tokens", 1_000_000) != 1_000_000:
        raise ValueError("prices must be US dollars per million tokens")
    return [_price(row, told) for row in told["prices"]]


def _price(row: Mapping[str, Any], told: Mapping[str, Any]) -> Price:
    numbers = {name: Decimal(str(row[name])) for name in _NUMBERS if name in row}
    if any(number < 0 for number in numbers.values()):
        raise ValueError(f"a price of {row['model']} is below zero")
    source = row.get("source") or told.get("sources", {}).get(row["provider"], "")
    as_of = row.get("as_of") or told.get("as_of", "")
    return Price(
        provider=str(row["provider"]),
        model=str(row["model"]).lower(),
        input=numbers["input"],
        output=numbers.get("output", Decimal(0)),
        cached_input=numbers.get("cached_input", numbers["input"]),
        cache_creation=numbers.get("cache_creation", numbers["input"]),
        source=f"{source} ({as_of})" if as_of else str(source),
        since=str(row.get("since", "")),
        above_input_tokens=int(row.get("above_input_tokens", 0)),
    )
