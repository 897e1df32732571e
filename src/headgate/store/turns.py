"""Whose turn it is to look after tables that several houses write. Asked by the warehouse process (`loaded.py`), in a thread."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator
from typing import TypeVar

from headgate.clock import Clock
from headgate.store import leases
from headgate.store.database import Database

logger = logging.getLogger(__name__)

_T = TypeVar("_T")
UPKEEP = "upkeep"
LASTS_S = 3600.0
"""Longer than looking after one table takes."""


class Turn:
    """Who looks after tables that several houses write: one of them, until it is gone for `LASTS_S`.

    Two compactions of one table at the same time would both be committed by deltalake 1.6, and every row be there twice.
    """

    def __init__(self, database: Database, clock: Clock, house: str) -> None:
        self._database, self._clock, self._house = database, clock, house
        self._held = False

    def of(self, tables: Iterable[_T]) -> Iterator[_T]:
        """Those tables, for as long as it is this house's turn, asked before each; none when the database cannot be asked."""
        for name in tables:
            if not self._is_ours():
                return
            yield name

    def end(self) -> None:
        """Another house may go on. Never raises."""
        if self._held:
            with contextlib.suppress(Exception):  # it ends by itself
                leases.release(self._database, UPKEEP, self._house)

    def _is_ours(self) -> bool:
        claim = leases.Claim(UPKEEP, self._house, self._clock.now_ms(), int(LASTS_S * 1000))
        try:
            self._held = leases.acquire(self._database, claim)
        except Exception as error:  # noqa: BLE001 - tables can wait
            logger.warning("tables are not looked after, since the database cannot say whose turn it is: %s", error)
            return False
        return self._held
