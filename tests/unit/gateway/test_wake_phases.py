"""What a request that was held is told about the wake it waited for."""

from __future__ import annotations

import pytest

from headgate.gateway import wake

START = {"environment": 0.0, "fork": 5.0, "import": 1.0, "load": 20.0, "first_predict": 4.0, "prove": 10.0}


def test_phases_add_up_to_the_time_held_and_what_nobody_accounts_for_is_the_queue() -> None:
    waited = wake.phases(100.0, START, ready_ms=3.0)
    assert list(waited) == ["queue", "environment", "fork", "import", "load", "first_predict", "prove"]
    assert sum(waited.values()) == pytest.approx(100.0)
    assert waited == {**START, "queue": pytest.approx(60.0)}


def test_who_came_while_the_replica_was_starting_waited_only_for_what_was_left() -> None:
    waited = wake.phases(22.0, START, ready_ms=2.0)
    assert (waited["prove"], waited["first_predict"], waited["load"]) == (10.0, 4.0, pytest.approx(6.0))
    assert (waited["import"], waited["fork"], waited["queue"]) == (0.0, 0.0, pytest.approx(2.0))


def test_who_came_when_it_was_ready_waited_for_its_connection_only() -> None:
    assert wake.phases(1.5, START, ready_ms=60_000.0)["queue"] == 1.5


@pytest.mark.parametrize("told", [{}, {"load": None, "fork": "5"}, {"load": -3.0, "of_a_newer_worker": 7.0}])
def test_what_a_worker_does_not_say_counts_as_queue(told: dict[str, object]) -> None:
    waited = wake.phases(10.0, told, ready_ms=0.0)
    assert waited["queue"] == 10.0
    assert sum(waited.values()) == 10.0


def test_the_header_has_whole_milliseconds() -> None:
    assert wake.text({"queue": 12.4, "load": 20.6}) == b"queue=12;load=21"
