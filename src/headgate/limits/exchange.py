"""Counters leased from a store, whole: one task asks and hears, requests wait at most a moment for it.

Built by the composition root with something that settles asks (`store.quota.Quotas.exchange`, `RedisQuotas.exchange`; blocking, called in
a thread). One exchange is under way at a time. Nothing here raises when the store is away: see `leased`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from headgate.clock import Clock, within
from headgate.domain.quota import Answer, Ask
from headgate.limits.counters import Charge, Demand, Denied, Short, Taken
from headgate.limits.leased import PACE_S, LeasedCounters, Terms
from headgate.telemetry import metrics
from headgate.telemetry.counting import Metrics, Number

logger = logging.getLogger(__name__)

_BETWEEN_S = 0.005
"""Least pause."""
_AFTER_FAILURE_S = 1.0
_RELEASE_S = 5.0


class Exchanger:
    """`Counters` for one of several server processes. `run` until the server ends, then `release`."""

    def __init__(
        self, exchange: Callable[[Ask], Answer], terms: Terms, clock: Clock, counted: Metrics | None = None
    ) -> None:
        self.counters = LeasedCounters(terms)
        self._exchange = exchange
        self._clock = clock
        # Of its own: it may wait long for a store that is away, and others' work must not wait behind it.
        self._thread = ThreadPoolExecutor(1, "rate limits")
        self._wanted = asyncio.Event()
        self._answered = asyncio.Event()
        self._told = False
        self.exchanges, self.failures = (
            Number() if counted is None else counted.number(metrics.RATE_LIMIT_EXCHANGES, outcome)
            for outcome in ("answered", "failed")
        )

    def take(self, demands: Sequence[Demand], now_s: float, last: bool = False) -> Taken | Denied | Short:
        found = self.counters.take(demands, now_s, last)
        if self.counters.is_wanted:
            self._wanted.set()
        return found

    def settle(self, charge: Charge, amount: int, now_s: float) -> None:
        self.counters.settle(charge, amount, now_s)

    async def more(self, short: Short) -> bool:
        """As `Counters.more`; at most the terms' `patience_s`."""
        if not self.counters.terms.patience_s:
            return False
        self.counters.wait(short)
        self._wanted.set()
        try:
            await within(self.counters.terms.patience_s, self._answered.wait())
        except asyncio.TimeoutError:
            return False
        finally:
            self.counters.waited(short)
        return True

    async def run(self) -> None:
        """Exchanges until cancelled."""
        while True:
            succeeded = await self.once()
            if succeeded:
                await asyncio.sleep(_BETWEEN_S)
                pause_s = PACE_S
            else:
                self._wanted.clear()
                pause_s = _AFTER_FAILURE_S
                await asyncio.sleep(pause_s)
            try:
                await within(pause_s, self._wanted.wait())
            except asyncio.TimeoutError:
                pass
            self._wanted.clear()

    async def once(self) -> bool:
        """One exchange, if there is anything to say. False when the store did not answer."""
        ask = self.counters.ask(self._clock.monotonic_s())
        return ask is None or await self._carry(ask)

    async def release(self) -> None:
        """Gives back what is leased, so that others may have it at once. After `run` has ended."""
        ask = self.counters.ask(self._clock.monotonic_s(), give_back=True)
        if ask is not None:
            try:
                await within(_RELEASE_S, self._carry(ask))
            except asyncio.TimeoutError:
                pass
        self._thread.shutdown(wait=False)

    async def _carry(self, ask: Ask) -> bool:
        try:
            answer = await asyncio.get_running_loop().run_in_executor(self._thread, self._exchange, ask)
        except Exception as error:  # whatever ails the store, requests go on within this server's share
            self.counters.failed(self._clock.monotonic_s())
            self.failures.add()
            if not self._told:
                self._told = True
                logger.exception("rate limits cannot be shared with other servers (%s); each keeps to its share", error)
            return False
        else:
            self.counters.heard(ask, answer, self._clock.monotonic_s())
            self.exchanges.add()
            if self._told:
                self._told = False
                logger.info("rate limits are shared with other servers again")
            return True
        finally:
            answered, self._answered = self._answered, asyncio.Event()
            answered.set()
