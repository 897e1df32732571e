"""Whether the settings of tables can be used. Asked once, before the house serves."""

from __future__ import annotations

from headgate.settings import SettingsError, WarehouseSettings
from headgate.warehouse import prices
from headgate.warehouse.spool import writing


def refusal(settings: WarehouseSettings) -> str | None:
    """Why not, and what to change; None: they can."""
    try:
        writing.check(settings)
        prices.load(settings.prices)
    except SettingsError as problem:
        return str(problem)
    return None
