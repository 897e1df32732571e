"""Shared counters in memory, and a world of several servers whose time stands still until it is moved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from headgate.domain import quota
from headgate.domain.quota import Answer, Ask
from headgate.domain.rate_limits import CALLS, Clause, Option
from headgate.limits.counters import Charge, Demand, Denied, Short, Taken
from headgate.limits.leased import LeasedCounters, Terms

NAME = "e/calls/endpoint"


class MemoryQuotas:
    """The books of all counters, without a store."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self.books: dict[str, bytes] = {}
        self.now_ms = now_ms

    def exchange(self, ask: Ask) -> Answer:
        now_ms = self.now_ms()
        grants = {}
        for line in ask.lines:
            self.books[line.name], grants[line.name] = quota.settle(self.books.get(line.name), line, ask, now_ms)
        return Answer(now_ms, grants)


def demand(limit: int, amount: int = 1, unit: str = CALLS) -> tuple[Demand, ...]:
    return (Demand(Clause(unit, "endpoint", (Option(NAME, limit),)), amount),)


@dataclass
class Server:
    """A simulated server process: its counters, its own clock, and what is on its way to the store."""

    counters: LeasedCounters
    behind_s: float
    rate: float = 1.0
    ask: Ask | None = None
    answer: Answer | None = None
    given_up: list[Ask] = field(default_factory=list)
    """Asks it takes for failed that may still reach the store."""

    def clock_s(self, true_s: float) -> float:
        return 1000.0 + self.behind_s + true_s * self.rate


@dataclass(frozen=True)
class Admitted:
    """A request that was let in, at a true time."""

    at_s: float
    amount: int
    server: str
    leased: bool
    """Not on the server's share alone."""
    charge: Charge


class World:
    """Servers, a store, and the truth."""

    def __init__(self, limit: int, servers: int, patience_s: float = 0.25) -> None:
        self.true_s = 0.0
        self.limit = limit
        self.patience_s = patience_s
        self.store_ahead_ms = 1_700_000_000_000
        self.quotas = MemoryQuotas(lambda: self.store_ahead_ms + int(self.true_s * 1000))
        self.servers: dict[str, Server] = {}
        self.started = 0
        self.wanted = servers
        self.admitted: list[Admitted] = []
        for number in range(servers):
            self.start(behind_s=7.7 * number)

    def start(self, behind_s: float = 0.0, rate: float = 1.0) -> str:
        self.started += 1
        name = f"s{self.started}"
        wall_is_off_by_s = behind_s * 3
        server = Server(None, behind_s, rate)  # type: ignore[arg-type]
        epoch_s = self.store_ahead_ms / 1000 + wall_is_off_by_s - server.clock_s(0)
        terms = Terms(name, lambda: self.wanted, patience_s=self.patience_s, epoch_s=epoch_s)
        server.counters = LeasedCounters(terms)
        self.servers[name] = server
        return name

    def request(self, name: str, amount: int = 1, last: bool = False) -> Taken | Denied | Short:
        counters = self.servers[name].counters
        before = counters.standing.uncovered
        found = counters.take(demand(self.limit, amount), self.servers[name].clock_s(self.true_s), last)
        if isinstance(found, Taken):
            leased = counters.standing.uncovered == before
            charge = found.charges[0]
            self.admitted.append(Admitted(self.true_s, charge.amount, name, leased, charge))
        return found

    def send(self, name: str) -> None:
        """The server's next ask is on its way."""
        server = self.servers[name]
        if server.ask is None:
            server.ask = server.counters.ask(server.clock_s(self.true_s))

    def arrive(self, name: str) -> None:
        """It reaches the store."""
        server = self.servers[name]
        if server.ask is not None and server.answer is None:
            server.answer = self.quotas.exchange(server.ask)

    def hear(self, name: str) -> None:
        """The answer reaches the server."""
        server = self.servers[name]
        if server.ask is not None and server.answer is not None:
            server.counters.heard(server.ask, server.answer, server.clock_s(self.true_s))
            server.ask = server.answer = None

    def exchange(self, name: str) -> None:
        self.send(name)
        self.arrive(name)
        self.hear(name)

    def fail(self, name: str) -> None:
        """The server gives up what is on its way; whether the store has it or will have it is another matter."""
        server = self.servers[name]
        if server.ask is not None:
            if server.answer is None:
                server.given_up.append(server.ask)
            server.counters.failed(server.clock_s(self.true_s))
            server.ask = server.answer = None

    def arrive_late(self, name: str) -> None:
        """An ask that was given up reaches the store all the same."""
        server = self.servers[name]
        if server.given_up:
            self.quotas.exchange(server.given_up.pop(0))

    def serve(self, name: str, amount: int = 1) -> bool:
        """One request from beginning to end, with the store at hand. Whether it was let in."""
        counters = self.servers[name].counters
        found = self.request(name, amount)
        for _ in range(3):
            if not isinstance(found, Short):
                break
            counters.wait(found)
            self.exchange(name)
            counters.waited(found)
            found = self.request(name, amount)
        return isinstance(found, Taken)

    def last_minute(self, leased: Sequence[bool] = (True, False)) -> int:
        """Let in within the 60 seconds that end now."""
        return sum(one.amount for one in self.admitted if one.at_s > self.true_s - 60 and one.leased in leased)
