"""How often the loop may run."""

from __future__ import annotations

import pytest

from headgate.control.pace import Pace


def laps_within(pace: Pace, seconds: float, lap_s: float) -> int:
    """Laps of that length in that time, when there is a notice all the time."""
    now_s, laps = 1000.0, 0
    while now_s < 1000.0 + seconds:
        now_s += pace.delay_s(now_s)
        pace.count(now_s, now_s + lap_s)
        now_s += lap_s
        laps += 1
    return laps


def test_after_a_quiet_time_laps_follow_each_other_at_once() -> None:
    pace = Pace(burst_s=1.0, share=0.5)
    now_s = 1000.0
    for _ in range(100):
        assert pace.delay_s(now_s) == 0.0
        pace.count(now_s, now_s + 0.01)
        now_s += 0.01


@pytest.mark.parametrize("lap_s", [0.001, 0.005, 0.1, 2.0])
def test_in_a_storm_laps_take_half_of_the_time_however_long_they_are(lap_s: float) -> None:
    assert laps_within(Pace(burst_s=1.0, share=0.5), 100.0, lap_s) * lap_s == pytest.approx(50.5, abs=2.0 * lap_s + 0.1)


def test_what_was_not_used_is_not_saved_for_ever() -> None:
    pace = Pace(burst_s=1.0, share=0.5)
    pace.count(0.0, 0.01)
    pace.count(1_000_000.0, 1_000_000.9)
    assert pace.delay_s(1_000_000.9) == 0.0
    pace.count(1_000_000.9, 1_000_001.8)
    assert pace.delay_s(1_000_001.8) == pytest.approx(0.8)
