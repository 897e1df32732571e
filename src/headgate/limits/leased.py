"""Counters of one server among several: it spends what the store leased to it. Sans-I/O: `exchange` carries asks and answers.

While the store answers, no limit is exceeded: whoever finds its lease used up waits for the next answer. When it does not answer, what is
leased is used up, and then each server goes on within its share, limit / servers (docs/architecture/limits.md has the bound).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from headgate.domain.quota import Answer, Ask, Grant, Line
from headgate.domain.rate_limits import WINDOW_S
from headgate.limits.counters import MOST_COUNTERS, SHORT, Board, Charge, Demand, Denied, Short, Taken
from headgate.limits.window import Window

_CAUTION = 0.9
"""Part of a lease's time that a server makes use of: its clock may run that much slower than the store's."""
_MOST_LINES = 500
"""Counters in one exchange; the others have to wait for the next."""
PACE_S = 0.25
"""Pause between two exchanges when nobody waits for one, and what the pace is measured by."""
_BUSY = 4
"""Uses per PACE_S from which on a server leases ahead."""
_PARTS = 4
"""A server keeps at most limit / (parts * servers) in spare, so that most of a limit can be used by any of them."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How a server takes part."""

    server_id: str
    """New with every start of a process."""
    servers: Callable[[], int] = lambda: 1
    """How many there are, this one included."""
    lease_s: float = 10.0
    """What a server that died had leased is lost for this long and the window after it."""
    patience_s: float = 0.25
    """Longest that a request waits for the store. 0: it does not."""
    epoch_s: float = 0.0
    """Unix time minus monotonic time here; dates what is used before the store was reached for the first time."""


class Standing:
    """How the server stands with the store, known to all its counters."""

    __slots__ = ("asked_s", "failing", "offset_s", "patience_s", "servers", "unasked", "uncovered")

    def __init__(self, terms: Terms) -> None:
        self.offset_s = terms.epoch_s
        self.patience_s = terms.patience_s
        self.servers = terms.servers
        self.failing = False
        self.asked_s: float | None = None
        self.uncovered = 0
        """Used beyond what was leased, in all: on this server's share, or more than was reserved."""
        self.unasked = False
        """A request is decided that has waited long enough."""

    def is_alone(self, now_s: float) -> bool:
        """Whether waiting for the store is in vain."""
        return self.failing or self.unasked or (self.asked_s is not None and now_s - self.asked_s > self.patience_s)

    def slot(self, now_s: float) -> int:
        """Now, by the store's clock."""
        return int(now_s + self.offset_s)

    def share(self, limit: int) -> int:
        """Of a limit, when nobody can be asked. Rounded up: nobody is blocked by there being many servers."""
        return -(-limit // max(1, self.servers()))


class Lease:
    """One counter: what is leased, what was used of it and not told yet, and who waits."""

    __slots__ = (
        "_dates", "_denied_until_s", "_free_s", "_paced_s", "_standing", "aim", "held", "least", "limit", "own", "pace", "pending",
        "sending", "sent_in", "spent", "until_s", "uses", "waiting",
    )  # fmt: skip

    def __init__(self, standing: Standing) -> None:
        self._standing = standing
        self.limit = 0
        self.held = 0
        self.until_s = 0.0
        self.own = Window()
        """What this server used, whatever was leased; by its own clock."""
        self._dates: dict[int, int] = {}
        """Second here -> second of the store's clock that it is told as."""
        self.pending: dict[int, int] = {}
        self.sending: dict[int, int] = {}
        """Told in exchange `sent_in`, and again until one is answered."""
        self.sent_in = 0
        self.waiting = 0
        """What requests wait for, in all."""
        self.least = 0
        self.spent = self.uses = 0
        self.pace = 0
        """Used per PACE_S lately; 0: so seldom that every request may ask."""
        self.aim = 0
        """What should be held when nobody waits."""
        self._paced_s = 0.0
        self._denied_until_s = 0.0
        self._free_s = 0.0

    def wait_s(self, limit: int, amount: int, now_s: float) -> float:
        if limit != self.limit:
            # What was leased under another limit goes back with the next exchange.
            self.limit, self.held, self._denied_until_s = limit, 0, 0.0
        self.lapse(now_s)
        if self.held >= amount:
            return 0.0
        if now_s < self._denied_until_s and not self._standing.failing:
            return max(0.001, self._free_s - now_s)
        if not self._standing.is_alone(now_s):
            return SHORT
        self.own.forget(int(now_s))
        over = self.own.total + amount - self._standing.share(limit)
        return 0.0 if over <= 0 else self.own.wait_s(over, now_s)

    def charge(self, amount: int, now_s: float) -> int:
        slot = int(now_s)
        self.own.forget(slot)
        self.own.add(slot, amount)
        date = self._dates.get(slot)
        if date is None:
            # All of one second here is one second of the store's, so that what is taken back meets what was told: the one it ends in.
            date = self._dates[slot] = self._standing.slot(slot + 1)
            while len(self._dates) > WINDOW_S + 1:
                del self._dates[next(iter(self._dates))]
        self.pending[date] = self.pending.get(date, 0) + amount
        leased = min(self.held, amount)
        self.held -= leased
        self._standing.uncovered += amount - leased
        self.spent += amount
        self.uses += 1
        return slot

    def take_back(self, slot: int, amount: int) -> None:
        # Not to what is held: the store may have forgotten that slot already. It gives it out again.
        self.own.take_back(slot, amount)
        date = self._dates.get(slot)
        if date is not None:
            self.pending[date] = self.pending.get(date, 0) - amount

    def is_idle(self, now_s: float) -> bool:
        self.own.forget(int(now_s))
        return not (self.own.total or self.is_active())

    def is_active(self) -> bool:
        """Whether the store must hear of it."""
        return bool(self.held or self.pending or self.sending or self.waiting or self.pace)

    def lapse(self, now_s: float) -> None:
        """Drops a lease whose time is over."""
        if self.held and now_s >= self.until_s:
            self.held = 0

    def line(self, name: str, number: int, now_s: float) -> Line:
        """What the store is told and asked in that exchange."""
        if not self.sending and self.pending:
            self.sending, self.pending, self.sent_in = self.pending, {}, number
        self._set_aim(now_s)
        self.held = min(self.held, self.aim + self.waiting)
        # What was used meanwhile and is not told yet is kept covered by the lease.
        untold = max(0, sum(self.pending.values()))
        need = max(0, self.waiting - self.held)
        spare = max(0, self.aim - max(0, self.held - self.waiting))
        used = tuple(self.sending.items())
        return Line(name, self.limit, self.held + untold, used, self.sent_in, need, self.least, spare)

    def _set_aim(self, now_s: float) -> None:
        paces = (now_s - self._paced_s) / PACE_S
        if paces >= 1:
            busy = int(self.spent / paces) if self.uses >= _BUSY * paces else 0
            self.pace = max(busy, self.pace // 2)
            self.spent = self.uses = 0
            self._paced_s = now_s
        self.aim = min(self.pace, self.limit // (_PARTS * max(1, self._standing.servers())))

    def heard(self, line: Line, grant: Grant, until_s: float, now_s: float) -> None:
        """The store's answer to that line."""
        self.sending = {}
        self.until_s = until_s
        if line.limit != self.limit:
            return
        self.held += grant.granted
        if grant.wait_ms:
            self._denied_until_s = now_s + grant.recheck_ms / 1000
            self._free_s = now_s + grant.wait_ms / 1000
        else:
            self._denied_until_s = 0.0

    def is_low(self) -> bool:
        """Whether more should be asked for before it is used up."""
        return 2 * self.held < self.aim and not self._denied_until_s


class LeasedCounters:
    """The counting half of `Counters`; `exchange.Exchanger` is the whole."""

    def __init__(self, terms: Terms, most: int = MOST_COUNTERS) -> None:
        self.terms = terms
        self.standing = Standing(terms)
        self.board: Board[Lease] = Board(lambda: Lease(self.standing), most)
        self._active: dict[str, None] = {}
        self._waiting: dict[str, None] = {}
        self._number = 0
        self.is_wanted = False
        """Whether the next exchange should be soon: somebody waits, or will."""

    def take(self, demands: Sequence[Demand], now_s: float, last: bool = False) -> Taken | Denied | Short:
        """As `Counters.take`."""
        self.standing.unasked = last
        found = self.board.take(demands, now_s)
        self.standing.unasked = False
        if isinstance(found, Taken):
            for charge in found.charges:
                self._active[charge.name] = None
                lease = self.board.find(charge.name)
                self.is_wanted = self.is_wanted or (lease is not None and lease.is_low())
        return found

    def settle(self, charge: Charge, amount: int, now_s: float) -> None:
        """As `Counters.settle`."""
        if amount != charge.amount:
            self.board.settle(charge, amount, now_s)
            if self.board.find(charge.name) is not None:
                self._active[charge.name] = None

    def wait(self, short: Short) -> None:
        """A request begins to wait; `waited` must follow."""
        for name, amount in short.wanted:
            lease = self.board.counter(name)
            lease.waiting += amount
            lease.least = amount
            self._waiting[name] = None
            self._active[name] = None
        self.is_wanted = True

    def waited(self, short: Short) -> None:
        """It waits no longer, whatever came of it."""
        for name, amount in short.wanted:
            lease = self.board.find(name)
            if lease is not None:
                lease.waiting = max(0, lease.waiting - amount)
            if lease is None or not lease.waiting:
                self._waiting.pop(name, None)

    def ask(self, now_s: float, give_back: bool = False) -> Ask | None:
        """The next exchange; None when there is nothing to say. `heard` or `failed` must follow. `give_back`: it is the last one."""
        self.is_wanted = False
        lines = []
        for name, lease in self._due():
            lease.lapse(now_s)
            if give_back:
                lease.held = lease.waiting = lease.pace = lease.uses = 0
            lines.append(lease.line(name, self._number + 1, now_s))
        if not lines:
            return None
        self._number += 1
        self.standing.asked_s = now_s
        return Ask(self.terms.server_id, self._number, int(self.terms.lease_s * 1000), tuple(lines), now_s)

    def _due(self) -> Iterator[tuple[str, Lease]]:
        """Those that somebody waits for, then those not heard of for longest; at most so many as fit."""
        names = dict.fromkeys(islice(self._waiting, _MOST_LINES))
        names |= dict.fromkeys(islice(self._active, _MOST_LINES - len(names)))
        for name in names:
            lease = self.board.find(name)
            self._active.pop(name, None)
            if lease is not None:
                self._active[name] = None
                yield name, lease

    def heard(self, ask: Ask, answer: Answer, now_s: float) -> None:
        """The store has answered."""
        standing = self.standing
        standing.failing, standing.asked_s = False, None
        # Late rather than early: what was used is never forgotten too soon.
        standing.offset_s = answer.now_ms / 1000 - ask.sent_s
        until_s = ask.sent_s + _CAUTION * self.terms.lease_s
        grants: Mapping[str, Grant] = answer.grants
        for line in ask.lines:
            lease, grant = self.board.find(line.name), grants.get(line.name)
            if lease is not None and grant is not None:
                lease.heard(line, grant, until_s, now_s)
            if lease is None or not lease.is_active():
                self._active.pop(line.name, None)
        self._drop_old(now_s)

    def failed(self, now_s: float) -> None:
        """The store did not answer; whether it heard is not known."""
        self.standing.failing, self.standing.asked_s = True, None
        self._drop_old(now_s)

    def _drop_old(self, now_s: float) -> None:
        """What nobody need be told any more."""
        oldest = self.standing.slot(now_s) - WINDOW_S
        for name in self._active:
            lease = self.board.find(name)
            if lease is not None and len(lease.pending) > WINDOW_S:
                lease.pending = {slot: amount for slot, amount in lease.pending.items() if slot >= oldest}
