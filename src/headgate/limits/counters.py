"""The port of counters, what all of them share (`Board`), and the one that counts in this process only (`LocalCounters`).

Asked once per request: no I/O, no waiting, cost does not grow with limits or callers. Several clauses are charged together or not at all, so
a request that one limit refuses takes nothing from the others. Forgets counters nobody used for a window.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

from headgate.domain.rate_limits import WINDOW_S, Clause
from headgate.limits.window import Window

SHORT = -1.0
"""Said of a counter that may get room if it is waited for."""

MOST_COUNTERS = 100_000
_INFINITE = float("inf")
_FORGOTTEN_AT_ONCE = 12
"""As many as a request can need: two of the endpoint, five groups for each kind."""


# Tuples, because several of them are made per request, and frozen dataclasses take three times as long.
class Demand(NamedTuple):
    """So much is wanted under a clause."""

    clause: Clause
    amount: int


class Charge(NamedTuple):
    """So much was counted, and where."""

    name: str
    unit: str
    slot: int
    amount: int


class Taken(NamedTuple):
    """There was room under all clauses, and it is taken."""

    charges: tuple[Charge, ...]


@dataclass(frozen=True, slots=True)
class Denied:
    """There is none; nothing was taken."""

    clause: Clause
    """Of those without room, the one that takes longest."""
    wait_s: float


@dataclass(frozen=True, slots=True)
class Short:
    """There may be room once the store was asked; nothing was taken."""

    wanted: tuple[tuple[str, int], ...]
    """(counter, amount)."""


class Counters(Protocol):
    """Where a server counts. Times are `clock.monotonic_s`."""

    def take(self, demands: Sequence[Demand], now_s: float, last: bool = False) -> Taken | Denied | Short:
        """Takes room under every clause, or nothing. `last`: there will be no waiting, so never Short."""

    def settle(self, charge: Charge, amount: int, now_s: float) -> None:
        """It was `amount` in truth, more or less than charged. Once per charge."""

    async def more(self, short: Short) -> bool:
        """Waits until the store has answered; False when that takes too long. After True, `take` may say Short again."""


class Counter(Protocol):
    """One counter on a board."""

    def wait_s(self, limit: int, amount: int, now_s: float) -> float:
        """0: there is room. Above: until there may be. SHORT."""

    def charge(self, amount: int, now_s: float) -> int:
        """Counts, also what there is no room for. Returns the slot."""

    def take_back(self, slot: int, amount: int) -> None:
        """So much of what was counted in that slot was not used."""

    def is_idle(self, now_s: float) -> bool:
        """Whether forgetting it changes nothing."""


C = TypeVar("C", bound=Counter)


class Board(Generic[C]):
    """Counters by name, those used longest ago first."""

    def __init__(self, make: Callable[[], C], most: int = MOST_COUNTERS) -> None:
        self._make = make
        self._most = most
        self._counters: OrderedDict[str, C] = OrderedDict()
        self._made = True
        """Whether there are new ones since the old were looked through."""
        self._looked_s = 0.0
        self.forgotten = 0
        """Counters that had to go with what they had counted, because there were too many."""

    def __len__(self) -> int:
        return len(self._counters)

    def find(self, name: str) -> C | None:
        """The counter, if there is one."""
        return self._counters.get(name)

    def counter(self, name: str) -> C:
        """The counter of that name, from now on the one used last."""
        found = self._counters.get(name)
        if found is not None:
            self._counters.move_to_end(name)
            return found
        made = self._counters[name] = self._make()
        self._made = True
        return made

    def _make_room(self, now_s: float) -> None:
        """Forgets the oldest, a few at a time: those that say nothing any more, and others when there are too many."""
        self._made, self._looked_s = False, now_s
        for _ in range(_FORGOTTEN_AT_ONCE):
            if not self._counters:
                return
            oldest = next(iter(self._counters))
            if not self._counters[oldest].is_idle(now_s):
                if len(self._counters) < self._most:
                    return
                self.forgotten += 1
            del self._counters[oldest]

    def take(self, demands: Sequence[Demand], now_s: float) -> Taken | Denied | Short:
        """As `Counters.take`."""
        chosen: list[tuple[str, C, Demand, int]] = []
        denied: Denied | None = None
        short: list[tuple[str, int]] = []
        # Before any counter of this request is in hand.
        if self._made or now_s > self._looked_s + 1.0:
            self._make_room(now_s)
        for demand in demands:
            wait_s = _INFINITE
            lacking: list[tuple[str, int]] = []
            for option in demand.clause.options:
                if option.limit <= 0:
                    wait_s = min(wait_s, WINDOW_S)
                    continue
                # A request that asks for more than there ever is gets what there is.
                amount = min(demand.amount, option.limit)
                counter = self.counter(option.name)
                wait = counter.wait_s(option.limit, amount, now_s)
                if wait == 0.0:
                    chosen.append((option.name, counter, demand, amount))
                    break
                if wait == SHORT:
                    lacking.append((option.name, amount))
                else:
                    wait_s = min(wait_s, wait)
            else:
                if lacking:
                    short += lacking
                elif denied is None or wait_s > denied.wait_s:
                    denied = Denied(demand.clause, wait_s)
        if denied is not None:
            return denied
        if short:
            return Short(tuple(short))
        return Taken(
            tuple(
                [
                    Charge(name, demand.clause.unit, counter.charge(amount, now_s), amount)
                    for name, counter, demand, amount in chosen
                ]
            )
        )

    def settle(self, charge: Charge, amount: int, now_s: float) -> None:
        """As `Counters.settle`. The unused is given back to the second it was taken in; the excess counts now."""
        if amount < charge.amount:
            counter = self._counters.get(charge.name)
            if counter is not None:
                counter.take_back(charge.slot, charge.amount - amount)
        elif amount > charge.amount:
            self.counter(charge.name).charge(amount - charge.amount, now_s)


class LocalCounter:
    """Counts in this process."""

    __slots__ = ("_window",)

    def __init__(self) -> None:
        self._window = Window()

    def wait_s(self, limit: int, amount: int, now_s: float) -> float:
        window = self._window
        window.forget(int(now_s))
        over = window.total + amount - limit
        return 0.0 if over <= 0 else window.wait_s(over, now_s)

    def charge(self, amount: int, now_s: float) -> int:
        slot = int(now_s)
        self._window.add(slot, amount)
        return slot

    def take_back(self, slot: int, amount: int) -> None:
        self._window.take_back(slot, amount)

    def is_idle(self, now_s: float) -> bool:
        self._window.forget(int(now_s))
        return self._window.total == 0


class LocalCounters:
    """`Counters` for the only server process there is: exact, never Short."""

    def __init__(self, most: int = MOST_COUNTERS) -> None:
        self.board: Board[LocalCounter] = Board(LocalCounter, most)

    def take(self, demands: Sequence[Demand], now_s: float, last: bool = False) -> Taken | Denied | Short:
        return self.board.take(demands, now_s)

    def settle(self, charge: Charge, amount: int, now_s: float) -> None:
        self.board.settle(charge, amount, now_s)

    async def more(self, short: Short) -> bool:
        return False
