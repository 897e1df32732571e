"""Lets requests in or refuses them with 429. Asked by the gateway's step `limit`; counts through the port `Counters`.

    admission = limiter.admit(asked)          # or an awaitable of it, when the counters must be asked; raises TooManyRequests
    …
    admission.settle(usage.total_tokens)      # always, also when the client left; None: nobody knows

A reservation that is never settled leaks nothing: it was counted at the second it was made, and is forgotten with it.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import NamedTuple

from headgate.clock import Clock
from headgate.domain import rate_limits
from headgate.domain.rate_limits import CALLS, TOKENS, Caller, Clause, Policy
from headgate.limits.counters import Charge, Counters, Demand, Denied, Short, Taken
from headgate.telemetry import metrics
from headgate.telemetry.counting import Metrics, Number

_ROUNDS = 3


class Asked(NamedTuple):
    """One request that wants in."""

    endpoint_name: str
    policy: Policy
    caller: Caller
    tokens: int = 0
    """`rate_limits.reservation`; needed only when `policy.counts_tokens`."""


class Admission:
    """A request that was let in."""

    __slots__ = ("_charges", "_limiter")

    def __init__(self, limiter: Limiter, charges: tuple[Charge, ...]) -> None:
        """`charges`: those that may turn out to be others."""
        self._limiter = limiter
        self._charges = charges

    @property
    def is_open(self) -> bool:
        """Whether settling means anything."""
        return bool(self._charges)

    def settle(self, tokens: int | None) -> None:
        """What it took in truth; the call itself stays counted. None leaves what was reserved. Only the first time means anything."""
        charges, self._charges = self._charges, FREE
        if charges and tokens is not None:
            self._limiter.settle(charges, max(0, tokens))


FREE = ()
_REMEMBERED = 4096


class Limiter:
    """All limits of all endpoints in one server process."""

    def __init__(self, counters: Counters, clock: Clock, counted: Metrics | None = None) -> None:
        self._counters = counters
        self._now_s = clock.monotonic_s
        self._counted = counted
        self._calls: dict[int, tuple[tuple[Clause, ...], tuple[Demand, ...]]] = {}
        """What is demanded where calls are counted only, by the clauses' identity."""
        self._admitted = Number() if counted is None else counted.number(metrics.RATE_LIMIT_ADMITTED)

    def admit(self, asked: Asked) -> Admission | Awaitable[Admission]:
        """Counts the request. Raises TooManyRequests when a limit has no room; then nothing was counted, at no limit."""
        demands = self._demands(asked)
        if not demands:
            return Admission(self, FREE)
        found = self._counters.take(demands, self._now_s())
        if isinstance(found, Short):
            return self._ask(asked, demands, found)
        return self._admission(asked, found)

    def settle(self, charges: tuple[Charge, ...], tokens: int) -> None:
        """Called by admissions."""
        now_s = self._now_s()
        for charge in charges:
            if charge.unit == TOKENS:
                self._counters.settle(charge, tokens, now_s)

    def _demands(self, asked: Asked) -> tuple[Demand, ...]:
        clauses = asked.policy.clauses(asked.caller)
        if asked.policy.counts_tokens:
            tokens = max(1, asked.tokens)
            return tuple([Demand(clause, 1 if clause.unit == CALLS else tokens) for clause in clauses])
        known = self._calls.get(id(clauses))
        if known is not None and known[0] is clauses:
            return known[1]
        if len(self._calls) >= _REMEMBERED:
            self._calls.clear()
        demands = tuple([Demand(clause, 1) for clause in clauses])
        self._calls[id(clauses)] = clauses, demands
        return demands

    async def _ask(self, asked: Asked, demands: tuple[Demand, ...], short: Short) -> Admission:
        for _ in range(_ROUNDS):
            answered = await self._counters.more(short)
            found = self._counters.take(demands, self._now_s(), last=not answered)
            if not isinstance(found, Short):
                return self._admission(asked, found)
            short = found
        # Others were quicker each time.
        return self._admission(asked, Denied(demands[-1].clause, 1.0))

    def _admission(self, asked: Asked, found: Taken | Denied | Short) -> Admission:
        if isinstance(found, Taken):
            self._admitted.value += 1.0
            return Admission(self, found.charges if asked.policy.counts_tokens else FREE)
        if isinstance(found, Denied):
            if self._counted is not None:
                self._counted.number(metrics.RATE_LIMIT_REFUSED, found.clause.unit, found.clause.scope).add()
            raise rate_limits.refusal(asked.endpoint_name, found.clause, found.wait_s)
        raise AssertionError("no room is neither taken nor denied")
