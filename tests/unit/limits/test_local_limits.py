"""Limits of one server process: who is let in, what is charged, what is told to who is not."""

from __future__ import annotations

import inspect
from collections import deque
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.quotas import demand

from headgate.domain import rate_limits
from headgate.domain.rate_limits import CALLS, TOKENS, Policy, RateLimit
from headgate.errors import TooManyRequests
from headgate.limits.counters import LocalCounters, Taken
from headgate.limits.limiter import Admission, Asked, Limiter


@dataclass
class Somebody:
    id: str
    user_name: str = ""
    kind: str = "user"
    groups: frozenset[str] = frozenset()


class Clock:
    def __init__(self) -> None:
        self.now_s = 5000.0

    def monotonic_s(self) -> float:
        return self.now_s

    def now_ms(self) -> int:
        return int(self.now_s * 1000)


ADA = Somebody("10", "Ada@example.com", groups=frozenset({"g1", "g2", "3"}))
BOB = Somebody("11", "bob@example.com", groups=frozenset({"g1", "3"}))
ROBOT = Somebody("12", "0000-app", kind="service_principal", groups=frozenset({"3"}))


class House:
    """A limiter with one endpoint."""

    def __init__(self, *limits: RateLimit) -> None:
        self.clock = Clock()
        self.limiter = Limiter(LocalCounters(), self.clock)
        self.set(*limits)

    def set(self, *limits: RateLimit) -> None:
        self.policy = Policy("e1", limits, lambda name: {"one": "g1", "two": "g2"}.get(name))

    def call(self, who: Somebody, tokens: int = 0) -> Admission:
        admitted = self.limiter.admit(Asked("chat", self.policy, who, tokens))
        assert not inspect.isawaitable(admitted)
        assert isinstance(admitted, Admission)
        return admitted

    def calls(self, who: Somebody, times: int, tokens: int = 0) -> int:
        """How many of that many are let in."""
        let_in = 0
        for _ in range(times):
            try:
                self.call(who, tokens)
                let_in += 1
            except TooManyRequests:
                pass
        return let_in

    def refusal(self, who: Somebody, tokens: int = 0) -> TooManyRequests:
        with pytest.raises(TooManyRequests) as refused:
            self.call(who, tokens)
        return refused.value


def test_the_endpoints_limit_is_a_ceiling_over_everybody() -> None:
    house = House(RateLimit(CALLS, 5))
    assert house.calls(ADA, 3) + house.calls(BOB, 3) == 5


def test_the_default_is_for_each_caller() -> None:
    house = House(RateLimit(CALLS, 2, "user"))
    assert [house.calls(who, 5) for who in (ADA, BOB, ROBOT)] == [2, 2, 2]


def test_a_groups_limit_is_shared_by_its_members_and_takes_the_place_of_the_default() -> None:
    house = House(RateLimit(CALLS, 2, "user"), RateLimit(CALLS, 5, "user_group", "one"))
    assert house.calls(ADA, 3) + house.calls(BOB, 5) == 5
    assert house.calls(ROBOT, 5) == 2


def test_a_limit_that_names_the_caller_comes_before_group_and_default() -> None:
    house = House(
        RateLimit(CALLS, 1, "user"),
        RateLimit(CALLS, 2, "user_group", "one"),
        RateLimit(CALLS, 7, "user", "ada@EXAMPLE.com"),
        RateLimit(CALLS, 4, "service_principal", "0000-APP"),
    )
    assert house.calls(ADA, 10) == 7
    assert house.calls(BOB, 10) == 2  # Ada took nothing of what the group shares
    assert house.calls(ROBOT, 10) == 4


def test_a_member_of_several_groups_is_refused_only_when_all_are_used_up() -> None:
    house = House(RateLimit(CALLS, 3, "user_group", "one"), RateLimit(CALLS, 4, "user_group", "two"))
    assert house.calls(BOB, 2) == 2
    assert house.calls(ADA, 20) == 1 + 4
    assert house.calls(BOB, 1) == 0


def test_kinds_are_apart_a_limit_of_calls_overrides_none_of_tokens() -> None:
    house = House(RateLimit(CALLS, 100, "user", "ada@example.com"), RateLimit(TOKENS, 50, "user"))
    assert house.calls(ADA, 10, tokens=20) == 2
    assert "Tokens-per-minute (TPM) rate limit exceeded for user" in house.refusal(ADA, 20).message


def test_the_tighter_of_calls_and_tokens_wins() -> None:
    house = House(RateLimit(CALLS, 3), RateLimit(TOKENS, 1000))
    assert house.calls(ADA, 10, tokens=100) == 3
    house = House(RateLimit(CALLS, 30), RateLimit(TOKENS, 1000))
    assert house.calls(ADA, 30, tokens=100) == 10


def test_nothing_is_allowed_by_zero() -> None:
    house = House(RateLimit(CALLS, 0, "user", "bob@example.com"), RateLimit(CALLS, 10))
    assert house.calls(BOB, 3) == 0
    assert house.calls(ADA, 20) == 10


def test_who_is_refused_by_one_limit_takes_nothing_from_the_others() -> None:
    house = House(RateLimit(CALLS, 10), RateLimit(CALLS, 1, "user", "bob@example.com"))
    assert house.calls(BOB, 50) == 1
    assert house.calls(ADA, 50) == 9


def test_a_group_there_is_not_binds_nobody() -> None:
    house = House(RateLimit(CALLS, 0, "user_group", "nobody"), RateLimit(CALLS, 2, "user"))
    assert house.calls(ADA, 3) == 2


def test_the_refusal_is_the_apis_and_says_when_to_come_back() -> None:
    house = House(RateLimit(CALLS, 1), RateLimit(CALLS, 5, "user"))
    house.call(ADA)
    house.clock.now_s += 20.5
    refusal = house.refusal(BOB)
    assert refusal.http_status == 429
    assert refusal.body() == {
        "error_code": "REQUEST_LIMIT_EXCEEDED",
        "message": "REQUEST_LIMIT_EXCEEDED: User defined rate limit(s) exceeded for 'chat'. "
        "Requests-per-minute (RPM) rate limit exceeded for endpoint",
    }
    assert refusal.headers == {"Retry-After": "41"}
    house.clock.now_s += 41
    house.call(BOB)


def test_the_refusal_names_the_limit_that_takes_longest() -> None:
    house = House(RateLimit(CALLS, 1), RateLimit(TOKENS, 100))
    house.call(ADA, 100).settle(150)
    house.clock.now_s += 30
    assert "endpoint" in house.refusal(ADA, 10).message
    assert 30 < int(house.refusal(ADA, 10).headers["Retry-After"]) <= 32


def test_unused_tokens_come_back_and_more_than_was_reserved_is_owed() -> None:
    house = House(RateLimit(TOKENS, 1000))
    admitted = house.call(ADA, 900)
    assert house.calls(BOB, 1, tokens=200) == 0
    admitted.settle(100)
    admitted.settle(0)  # only the first time counts
    other = house.call(BOB, 900)
    other.settle(1500)
    assert house.calls(ADA, 1, tokens=1) == 0
    house.clock.now_s += 61
    assert house.calls(ADA, 1, tokens=1000) == 1


def test_a_request_that_never_settles_leaks_nothing() -> None:
    house = House(RateLimit(TOKENS, 100))
    house.call(ADA, 100)
    late = house.refusal(ADA, 1)
    assert int(late.headers["Retry-After"]) <= 61
    house.clock.now_s += 61
    admitted = house.call(ADA, 100)
    house.clock.now_s += 300
    admitted.settle(0)  # long forgotten: gives back nothing that is not there
    assert house.calls(ADA, 3, tokens=50) == 2


def test_a_request_for_more_than_there_ever_is_gets_what_there_is() -> None:
    house = House(RateLimit(TOKENS, 100))
    house.call(ADA, 5000).settle(80)
    assert house.calls(ADA, 1, tokens=20) == 1
    assert house.calls(ADA, 1, tokens=20) == 0


def test_of_tokens_nobody_told_what_was_reserved_stays() -> None:
    house = House(RateLimit(TOKENS, 100))
    house.call(ADA, 60).settle(None)
    assert house.calls(ADA, 1, tokens=60) == 0


def test_a_changed_limit_is_in_force_at_once_and_goes_on_with_what_was_counted() -> None:
    house = House(RateLimit(CALLS, 10))
    assert house.calls(ADA, 8) == 8
    house.set(RateLimit(CALLS, 5))
    assert house.calls(ADA, 1) == 0
    house.set(RateLimit(CALLS, 9))
    assert house.calls(ADA, 5) == 1
    house.set()
    assert house.calls(ADA, 5) == 5


def test_without_limits_nothing_is_counted() -> None:
    house = House()
    assert not house.policy
    house.call(ADA).settle(5)
    assert len(house.limiter._counters.board) == 0  # type: ignore[attr-defined]


def test_a_policy_that_knows_somebody_notices_that_he_changed_groups() -> None:
    house = House(RateLimit(CALLS, 1, "user_group", "two"), RateLimit(CALLS, 3, "user"))
    assert house.calls(Somebody("10", groups=frozenset({"g2"})), 5) == 1
    assert house.calls(Somebody("10", groups=frozenset()), 5) == 3


def test_reservations_count_prompt_and_answer() -> None:
    assert rate_limits.reservation(399, 50) == 150
    assert rate_limits.reservation(399, 50, choices=3) == 250
    assert rate_limits.reservation(399, 0) == 100
    assert rate_limits.reservation(0, None) == rate_limits.ASSUMED_COMPLETION_TOKENS


@given(
    st.integers(1, 20),
    st.lists(st.tuples(st.floats(0, 40, allow_nan=False), st.integers(1, 8), st.integers(0, 20)), max_size=80),
)
def test_in_no_sixty_seconds_more_is_let_in_than_the_limit(limit: int, steps: list[tuple[float, int, int]]) -> None:
    counters, now_s = LocalCounters(), 100.0
    let_in: deque[tuple[float, int]] = deque()
    for pause_s, amount, truth in steps:
        now_s += pause_s
        found = counters.take(demand(limit, amount, TOKENS), now_s)
        if isinstance(found, Taken):
            used = min(truth, found.charges[0].amount)
            counters.settle(found.charges[0], used, now_s)
            let_in.append((now_s, used))
            assert sum(one for at_s, one in let_in if at_s > now_s - 60) <= limit


def test_memory_is_bounded_by_who_was_there_within_a_minute() -> None:
    house = House(RateLimit(CALLS, 5, "user"))
    for number in range(20_000):
        house.call(Somebody(f"u{number}"))
        house.clock.now_s += 0.1
    board = house.limiter._counters.board  # type: ignore[attr-defined]
    assert len(board) <= 62 * 10
    assert board.forgotten == 0


def test_too_many_counters_at_once_lose_the_one_used_longest_ago() -> None:
    counters = LocalCounters(most=10)
    limiter = Limiter(counters, Clock())
    policy = Policy("e", [RateLimit(CALLS, 5, "user")])
    for number in range(100):
        limiter.admit(Asked("chat", policy, Somebody(f"u{number}")))
    assert len(counters.board) == 10
    assert counters.board.forgotten == 90
