"""Slows down guessing: counts refused credentials by address and, past a number, holds their answers back.

Asked by every door after it refused a credential, never for one that is good: whoever has a valid token goes through at once,
from any address. Bounded in memory, in answers held back and in log lines; no credential comes here.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from headgate import errors
from headgate.clock import Clock, SystemClock
from headgate.telemetry import metrics
from headgate.telemetry.counting import Metrics

logger = logging.getLogger(__name__)

WINDOW_S = 60.0
FREE = 20
"""Refusals of one address within the window that are answered at once, unless said otherwise: somebody's token has expired."""
OF_ALL = 25
"""So many times as much for all addresses together."""
HOLD_S = 2.0
"""How long an answer is held back."""
MOST_HELD = 64
"""Answers held back at a time; what comes beyond is turned away with 429."""
_ADDRESSES = 4096
_LINES = 10
"""Log lines in a window, however many addresses there are."""


@dataclass(slots=True)
class _Burst:
    """Refusals since `since_s`."""

    since_s: float
    count: int = 0


class Attempts:
    """See the module. One per server process."""

    def __init__(
        self,
        clock: Clock | None = None,
        counted: Metrics | None = None,
        free: int = FREE,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock or SystemClock()
        self._counted = counted
        self.sleep = sleep
        """Holds an answer back for so many seconds."""
        self._free = free
        self._of: OrderedDict[str, _Burst] = OrderedDict()
        """By address, the longest quiet first."""
        self._of_all = _Burst(self._clock.monotonic_s())
        self._held: deque[float] = deque()
        """When the answers held back go out."""
        self._lines = 0

    async def hold(self, authorization: str | None, address: str) -> None:
        """Call it before answering 401. Returns when the answer may go out. Raises TooManyRequests to be answered instead."""
        hold_s = self.refused(authorization, address)
        if hold_s:
            await self.sleep(hold_s)

    def refused(self, authorization: str | None, address: str) -> float:
        """Counts it; how long its answer is to be held back, in seconds. Raises TooManyRequests to be answered instead.

        No credential at all is no guess.
        """
        if not authorization:
            return 0.0
        now_s = self._clock.monotonic_s()
        network = _network(address)
        one = self._burst(network, now_s)
        if one.count <= self._free and self._of_all.count <= OF_ALL * self._free:
            self._count("at_once")
            return 0.0
        if one.count == self._free + 1 or self._of_all.count == OF_ALL * self._free + 1:
            self._tell(network, one)
        while self._held and self._held[0] <= now_s:
            self._held.popleft()
        if len(self._held) >= MOST_HELD:
            self._count("turned_away")
            raise errors.TooManyRequests(
                "Too many failed attempts to authenticate. Check the token before trying again.",
                headers={"retry-after": str(round(HOLD_S))},
            )
        # Kept by time, not by request: who hangs up early frees nothing.
        self._held.append(now_s + HOLD_S)
        self._count("held_back")
        return HOLD_S

    def _burst(self, network: str, now_s: float) -> _Burst:
        if now_s - self._of_all.since_s >= WINDOW_S:
            self._of_all, self._lines = _Burst(now_s), 0
        self._of_all.count += 1
        one = self._of.pop(network, None)
        if one is None or now_s - one.since_s >= WINDOW_S:
            one = _Burst(now_s)
        one.count += 1
        self._of[network] = one
        if len(self._of) > _ADDRESSES:
            self._of.popitem(last=False)
        return one

    def _tell(self, network: str, one: _Burst) -> None:
        self._lines += 1
        if self._lines > _LINES:
            return
        where, count = (network, one.count) if one.count > self._free else ("all addresses", self._of_all.count)
        logger.warning(
            "%d credentials from %s were refused within %d s: further answers are held back", count, where, WINDOW_S
        )

    def _count(self, answer: str) -> None:
        if self._counted is not None:
            self._counted.number(metrics.AUTHENTICATION_FAILURES, answer).add()


def _network(address: str) -> str:
    """The address; of IPv6 the /64, since one client has all of that."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.ip_network((address.partition("%")[0], 64), strict=False))
    except ValueError:
        return address
