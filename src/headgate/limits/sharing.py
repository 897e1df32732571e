"""The rate limits of one server process as one object: its limiter, and the task that shares its counters with other servers.

Built by the composition root. Counts alone only where no other server can be: one worker on SQLite. Everywhere else counters are leased, also
while this server is the only one, so that others may come and go at any time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from headgate.clock import Clock
from headgate.domain.quota import Answer, Ask
from headgate.limits.counters import LocalCounters
from headgate.limits.exchange import Exchanger
from headgate.limits.leased import Terms
from headgate.limits.limiter import Limiter
from headgate.settings import Settings
from headgate.telemetry.counting import Metrics

logger = logging.getLogger(__name__)

_COUNT_S = 2.0


@dataclass(frozen=True, slots=True)
class Others:
    """How a server hears of the others. Both calls block, run in threads, and may raise anything."""

    server_id: str
    """New with every start of a process."""
    exchange: Callable[[Ask], Answer]
    """`store.quota.Quotas.exchange` or `RedisQuotas.exchange`."""
    count: Callable[[], int]
    """How many servers there are."""


def are_possible(settings: Settings) -> bool:
    """Whether there may be other servers that count the same requests."""
    alone = settings.workers == 1 and settings.database_url.startswith("sqlite") and not settings.rate_limits.redis_url
    return not alone


def refusal(settings: Settings) -> str | None:
    """Why these settings cannot be served with; None: they can."""
    if settings.rate_limits.redis_url and find_spec("redis") is None:
        return "rate_limits.redis_url is set, but the client of Redis is not installed: install headgate[redis]"
    if settings.rate_limits.lease_s < 1:
        return "rate_limits.lease_s must be at least 1"
    return None


class Sharing:
    """`limiter` admits; `run` until the server ends, then `release`."""

    def __init__(self, settings: Settings, clock: Clock, counted: Metrics, others: Others | None = None) -> None:
        """Without `others` it counts alone."""
        self._exchanger: Exchanger | None = None
        self._others = others
        self._servers = settings.workers
        self._least = settings.workers
        if others is None:
            self.limiter = Limiter(LocalCounters(), clock, counted)
            return
        terms = Terms(
            others.server_id,
            lambda: self._servers,
            settings.rate_limits.lease_s,
            settings.rate_limits.patience_s,
            clock.now_ms() / 1000 - clock.monotonic_s(),
        )
        self._exchanger = Exchanger(others.exchange, terms, clock, counted)
        self.limiter = Limiter(self._exchanger, clock, counted)

    async def run(self) -> None:
        """Exchanges until cancelled."""
        if self._exchanger is not None:
            await asyncio.gather(self._exchanger.run(), self._count())

    async def release(self) -> None:
        """Gives back what is leased. After `run` has ended; never raises."""
        if self._exchanger is not None:
            await self._exchanger.release()

    async def _count(self) -> None:
        while True:
            if self._others is not None:
                try:
                    # Those that have not said yet that they are there count too.
                    self._servers = max(self._least, await asyncio.to_thread(self._others.count))
                except Exception as error:  # noqa: BLE001 - with the store away the last number is the best there is
                    logger.debug("servers were not counted: %s", error)
            await asyncio.sleep(_COUNT_S)
