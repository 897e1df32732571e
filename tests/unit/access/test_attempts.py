"""Guessing tokens is slow, said once, and bounded; nobody with a good one notices."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from headgate import errors
from headgate.access import attempts as rules
from headgate.access.attempts import FREE, HOLD_S, MOST_HELD, OF_ALL, WINDOW_S, Attempts
from headgate.telemetry.counting import Metrics

FREE_OF_ALL = OF_ALL * FREE
GUESS = "Bearer hgt_guess"


class Time:
    """A clock moved by hand, and what was slept."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.slept: list[float] = []

    def monotonic_s(self) -> float:
        return self.now_s

    def now_ms(self) -> int:
        return int(self.now_s * 1000)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def attempts(time: Time) -> Attempts:
    return Attempts(time, sleep=time.sleep)


def refused(attempts: Attempts, address: str = "10.0.0.1", times: int = 1) -> list[float]:
    return [attempts.refused(GUESS, address) for _ in range(times)]


def test_a_few_refusals_are_answered_at_once_and_further_ones_later(attempts: Attempts) -> None:
    assert refused(attempts, times=FREE + 3) == [0.0] * FREE + [HOLD_S] * 3


def test_how_many_are_answered_at_once_can_be_set(time: Time) -> None:
    assert refused(Attempts(time, free=2), times=3) == [0.0, 0.0, HOLD_S]


def test_other_addresses_are_none_the_worse_for_it(attempts: Attempts) -> None:
    refused(attempts, times=FREE + 10)
    assert refused(attempts, "10.0.0.2") == [0.0]


def test_one_network_of_ipv6_is_one_address(attempts: Attempts) -> None:
    guesses = [attempts.refused(GUESS, f"2001:db8::{number:x}") for number in range(FREE + 1)]
    assert guesses[-1] == HOLD_S
    assert attempts.refused(GUESS, "2001:db8:0:1::1") == 0.0
    assert attempts.refused(GUESS, "not:an:address") == attempts.refused(GUESS, "fe80::1%eth0") == 0.0


def test_no_credential_at_all_is_no_guess(attempts: Attempts) -> None:
    assert [attempts.refused(None, "10.0.0.1") for _ in range(10 * FREE)] == [0.0] * 10 * FREE


def test_after_a_quiet_while_everything_is_forgotten(attempts: Attempts, time: Time) -> None:
    refused(attempts, times=FREE + 1)
    time.now_s += WINDOW_S
    assert refused(attempts) == [0.0]


def test_guessing_from_everywhere_is_slowed_for_all(attempts: Attempts, time: Time) -> None:
    spread = [attempts.refused(GUESS, f"10.0.{number >> 8}.{number & 255}") for number in range(FREE_OF_ALL + 1)]
    assert spread[:-1] == [0.0] * FREE_OF_ALL and spread[-1] == HOLD_S
    time.now_s += WINDOW_S
    assert refused(attempts, "10.9.9.9") == [0.0]


def test_only_so_many_answers_are_held_back_at_a_time(attempts: Attempts, time: Time) -> None:
    refused(attempts, times=FREE + MOST_HELD)
    with pytest.raises(errors.TooManyRequests) as turned_away:
        refused(attempts)
    assert turned_away.value.headers == {"retry-after": "2"} and "hgt_" not in turned_away.value.message
    time.now_s += HOLD_S
    assert refused(attempts, times=MOST_HELD) == [HOLD_S] * MOST_HELD


def test_an_answer_is_held_back_before_it_goes_out(attempts: Attempts, time: Time) -> None:
    refused(attempts, times=FREE)
    asyncio.run(attempts.hold(GUESS, "10.0.0.1"))
    asyncio.run(attempts.hold(None, "10.0.0.1"))
    assert time.slept == [HOLD_S]


def test_a_burst_is_one_line_without_the_credential(attempts: Attempts, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        refused(attempts, times=FREE + 50)
    assert [record.getMessage() for record in caplog.records] == [
        "21 credentials from 10.0.0.1 were refused within 60 s: further answers are held back"
    ]


def test_a_burst_from_everywhere_is_a_few_lines(attempts: Attempts, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        for number in range(200):
            try:
                refused(attempts, f"10.0.0.{number}", times=FREE + 1)
            except errors.TooManyRequests:
                pass
    assert 1 <= len(caplog.records) <= 10


def test_memory_is_bounded_however_many_addresses_there_are(
    attempts: Attempts, monkeypatch: pytest.MonkeyPatch, time: Time
) -> None:
    monkeypatch.setattr(rules, "_ADDRESSES", 10)
    monkeypatch.setattr(rules, "OF_ALL", 10**9)
    refused(attempts, "10.0.0.1", times=FREE + 1)
    for number in range(10):
        refused(attempts, f"10.0.1.{number}")
    assert refused(attempts, "10.0.0.1") == [0.0], "the longest quiet is forgotten first"


def test_refusals_are_counted_by_what_became_of_them(tmp_path: Path, time: Time) -> None:
    counted = Metrics(tmp_path, "server-0")
    attempts = Attempts(time, counted)
    refused(attempts, times=FREE + MOST_HELD)
    with pytest.raises(errors.TooManyRequests):
        refused(attempts)
    shown = counted.render_all().decode()
    for answer, count in (("at_once", FREE), ("held_back", MOST_HELD), ("turned_away", 1)):
        assert f'headgate_authentication_failures_total{{answer="{answer}"}} {count}' in shown
