"""Writes down now and then when tokens were last used: one task per server process, made by the composition root."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

logger = logging.getLogger(__name__)

PERIOD_S = 60.0


class LastUses:
    """`run` until cancelled, then `write` a last time."""

    def __init__(self, take: Callable[[], Mapping[str, int]], note: Callable[[Mapping[str, int]], None]) -> None:
        """`take` is `Authenticator.last_uses`; `note` is `Identities.note_use`, which blocks and may raise anything."""
        self._take = take
        self._note = note
        self._kept: dict[str, int] = {}
        """What could not be written yet. As many as there are tokens at most."""

    async def run(self) -> None:
        """Writes once a minute."""
        while True:
            await asyncio.sleep(PERIOD_S)
            await self.write()

    async def write(self) -> None:
        """Once. Never raises: what was not written is written next time."""
        uses = self._kept | dict(self._take())
        if not uses:
            return
        try:
            await asyncio.to_thread(self._note, uses)
            self._kept = {}
        except Exception as error:  # noqa: BLE001 - whatever ails the store, requests go on
            self._kept = uses
            logger.warning("it was not written down when tokens were last used: %s", error)
