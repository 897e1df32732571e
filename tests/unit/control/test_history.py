"""What control remembers between laps."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.control.worlds import entity, load, replica

from headgate.control.history import History
from headgate.domain.replica import ReplicaState

READY, STARTING, DRAINING = ReplicaState.READY, ReplicaState.STARTING, ReplicaState.DRAINING
ONE = replica("a", READY)  # 2 slots
KEY = ONE.deployment_key


def test_what_runs_when_control_starts_stays_for_a_window() -> None:
    history = History(down_window_s=10)
    history.note(0, [ONE, replica("b", READY), replica("c", READY)], {}, {})
    assert history.past().peaks == {KEY: 3}
    history.note(10_000, [ONE], {}, {})
    assert history.past().peaks == {KEY: 0}


@given(st.lists(st.tuples(st.integers(1, 5000), st.integers(0, 20)), min_size=1, max_size=60))
def test_the_peak_is_the_most_of_the_window(laps: list[tuple[int, int]]) -> None:
    history, now, asked = History(down_window_s=10), 0, []
    for step, in_flight in laps:
        now += step
        asked.append((now, -(-in_flight // 2)))
        history.note(now, [ONE], load(entity(), in_flight), {})
        first = [(asked[0][0], 1)]
        expected = max(count for at, count in first + asked if at > now - 10_000)
        assert history.past().peaks == {KEY: expected}


def test_a_call_is_met_once_a_lap_has_seen_a_ready_replica() -> None:
    history = History(10)
    history.note(0, [replica("a", STARTING)], {}, {KEY: 5})
    assert history.past().met == {}
    history.note(1, [ONE], {}, {KEY: 5})
    history.note(2, [], {}, {KEY: 5})
    assert history.past().met == {KEY: 5}
    history.note(3, [], {}, {})
    assert history.past().met == {}


def test_draining_counts_from_when_it_was_first_seen() -> None:
    history = History(10)
    history.note(7, [replica("a", DRAINING)], {}, {})
    history.note(9, [replica("a", DRAINING), replica("b", DRAINING)], {}, {})
    assert history.past().draining_since == {"a": 7, "b": 9}
    history.note(10, [], {}, {})
    assert history.past().draining_since == {}


def test_environments_of_forgotten_endpoints_are_forgotten() -> None:
    history = History(10)
    history.note_ensured("e1", "k", 1)
    history.note_ensured("e2", "k", 2)
    history.forget_endpoints(frozenset({"e2"}))
    assert history.past().ensured == {("e2", "k"): 2}
