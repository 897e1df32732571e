from __future__ import annotations

import threading
import time

import pytest
from tests.unit.control.simulation import ManualClock
from tests.unit.control.worlds import model

from headgate import errors
from headgate.control.lookup import Lookup
from headgate.domain.environment import ModelDescription
from headgate.errors import ResourceDoesNotExist, TemporarilyUnavailable


class Slow:
    """A registry that answers when told to."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.asked: list[str] = []
        self.failure: errors.HeadgateError | None = None

    def __call__(self, name: str, version: str) -> ModelDescription:
        self.asked.append(version)
        assert self.may_answer.wait(60)
        if self.failure is not None:
            raise self.failure
        return model(version)


def found_in_time(lookup: Lookup, version: str) -> ModelDescription:
    deadline = time.monotonic() + 60
    while True:
        try:
            return lookup("main.default.m", version)
        except TemporarilyUnavailable:
            assert time.monotonic() < deadline
            time.sleep(0.005)


def test_an_answer_that_comes_at_once_is_given_at_once() -> None:
    registry = Slow()
    registry.may_answer.set()
    assert Lookup(registry, ManualClock())("main.default.m", "1") == model("1")


def test_a_slow_answer_is_waited_for_by_nobody_and_asked_for_once() -> None:
    registry = Slow()
    lookup = Lookup(registry, ManualClock())
    for version in ("1", "2", "1", "2"):
        with pytest.raises(TemporarilyUnavailable, match="being looked up"):
            lookup("main.default.m", version)
    registry.may_answer.set()
    assert found_in_time(lookup, "1") == model("1") and found_in_time(lookup, "2") == model("2")
    assert sorted(registry.asked) == ["1", "2"]


def test_a_storage_that_is_away_is_asked_again_after_a_while() -> None:
    registry, clock = Slow(), ManualClock()
    registry.may_answer.set()
    registry.failure = TemporarilyUnavailable("It is away.")
    lookup = Lookup(registry, clock)
    for _ in range(3):
        with pytest.raises(TemporarilyUnavailable, match="away"):
            lookup("main.default.m", "1")
    assert registry.asked == ["1"]
    registry.failure, clock.ms = None, clock.ms + 6000
    assert found_in_time(lookup, "1") == model("1")


def test_what_is_wrong_with_a_model_is_said() -> None:
    registry = Slow()
    registry.may_answer.set()
    registry.failure = ResourceDoesNotExist("It was deleted.")
    with pytest.raises(ResourceDoesNotExist):
        Lookup(registry, ManualClock())("main.default.m", "1")
