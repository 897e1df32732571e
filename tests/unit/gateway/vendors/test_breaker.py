"""The circuit breaker, with time in the test's hand."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from headgate.gateway.vendors.breaker import LONGEST_REST_S, Breaker, State

FAILURES, OPEN_S = 3, 10.0


def opened() -> Breaker:
    """Open since 100 s."""
    breaker = Breaker(FAILURES, OPEN_S)
    for _ in range(FAILURES):
        breaker.failed(breaker.begin(100.0), 100.0)
    return breaker


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    breaker = Breaker(FAILURES, OPEN_S)
    for outcome in "ffsff":
        assert breaker.ready(0.0)
        if outcome == "f":
            breaker.failed(breaker.begin(0.0), 0.0)
        else:
            breaker.succeeded()
    assert breaker.state is State.CLOSED
    breaker.failed(breaker.begin(0.0), 0.0)
    assert breaker.state is State.OPEN and not breaker.ready(0.0)


def test_once_its_time_has_come_exactly_one_request_tries_it() -> None:
    breaker = opened()
    assert not breaker.ready(109.9) and not breaker.begin(109.9)
    assert breaker.ready(110.0)
    assert [breaker.begin(110.0) for _ in range(5)] == [True, False, False, False, False]
    assert breaker.state is State.TRYING and not breaker.ready(500.0)


def test_the_one_that_tries_it_closes_it_or_opens_it_again() -> None:
    breaker = opened()
    breaker.failed(breaker.begin(110.0), 115.0)
    assert breaker.state is State.OPEN and not breaker.ready(124.9) and breaker.ready(125.0)
    probes = breaker.begin(125.0)
    breaker.answered(probes)
    assert breaker.ready(125.0), "it answers: the others need not wait for its end"
    breaker.failed(False, 126.0)
    assert not breaker.ready(126.0), "it broke after all, and had failed before"


def test_one_that_nobody_waited_for_is_tried_by_the_next() -> None:
    breaker = opened()
    probes = breaker.begin(110.0)
    breaker.given_up(probes)
    assert breaker.ready(110.0) and breaker.begin(110.0)


def test_who_asks_it_all_the_same_counts_too() -> None:
    breaker = opened()
    assert not breaker.begin(101.0)
    breaker.failed(False, 101.0)
    assert breaker.ready(110.0), "a failure while it is open makes it no longer"
    breaker.succeeded()
    assert breaker.state is State.CLOSED
    breaker.failed(False, 111.0)
    assert breaker.state is State.CLOSED


@pytest.mark.parametrize(("asked_s", "rests_s"), [(5.0, 5.0), (0.0, 0.0), (3600.0, LONGEST_REST_S)])
def test_it_rests_as_long_as_it_asked_to_up_to_a_bound(asked_s: float, rests_s: float) -> None:
    breaker = Breaker(FAILURES, OPEN_S)
    breaker.rest(asked_s, 100.0)
    breaker.succeeded()  # of a request that was sent before
    assert breaker.ready(100.0 + rests_s) and not breaker.ready(99.0 + rests_s)


@dataclass
class Told:
    """A request under way."""

    probes: bool
    at_s: float = field(default=0.0)


class BreakerUnderLoad(RuleBasedStateMachine):
    """Requests come, answer, fail and leave in any order; time goes on in any steps."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(FAILURES, OPEN_S)
        self.now_s = 0.0
        self.under_way: list[Told] = []

    @rule(step_s=st.floats(0, 30))
    def time_goes_on(self, step_s: float) -> None:
        self.now_s += step_s

    @rule()
    def a_request_is_sent(self) -> None:
        self.under_way.append(Told(self.breaker.begin(self.now_s), self.now_s))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), outcome=st.sampled_from(["failed", "succeeded", "given_up", "answered"]))
    def one_is_over(self, data: st.DataObject, outcome: str) -> None:
        told = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        if outcome == "failed":
            self.breaker.failed(told.probes, self.now_s)
        elif outcome == "given_up":
            self.breaker.given_up(told.probes)
        elif outcome == "answered":
            self.breaker.answered(told.probes)
        else:
            self.breaker.succeeded()
            assert self.breaker.ready(self.now_s)

    @invariant()
    def it_never_stays_shut(self) -> None:
        """Either it is tried, or somebody may try it when its time has come."""
        trying = any(told.probes for told in self.under_way)
        if self.breaker.state is State.TRYING:
            assert trying
        else:
            assert self.breaker.ready(self.now_s + OPEN_S)


TestBreakerUnderLoad = BreakerUnderLoad.TestCase
