"""Whether a served entity of a vendor's is worth asking: a circuit breaker, and the rest that a vendor asked for itself.

One per deployment key and server process; asked by `order`, told by `attempts`. Pure: every time is handed in (`clock.monotonic_s`).
"""

from __future__ import annotations

from enum import IntEnum

LONGEST_REST_S = 60.0
"""A `Retry-After` is believed this far."""


class State(IntEnum):
    """The values of the metric."""

    CLOSED = 0
    OPEN = 1
    TRYING = 2
    """One request tries it again; the others pass it over."""


class Breaker:
    """Closed; open after `failures` in a row; tried by exactly one request once `open_s` have passed, which closes it or opens it again.

    It only advises: who has no other entity to ask asks this one anyway, and what becomes of that counts all the same.
    """

    __slots__ = ("_failures", "_in_a_row", "_open_s", "_rests_until_s", "_retry_at_s", "state")

    def __init__(self, failures: int, open_s: float) -> None:
        self.state = State.CLOSED
        self._failures = failures
        self._open_s = open_s
        self._in_a_row = 0
        self._retry_at_s = 0.0
        self._rests_until_s = 0.0

    def ready(self, now_s: float) -> bool:
        """Whether a request may be sent to it while others could answer as well."""
        if now_s < self._rests_until_s:
            return False
        return self.state is State.CLOSED or (self.state is State.OPEN and now_s >= self._retry_at_s)

    def begin(self, now_s: float) -> bool:
        """A request is sent to it. Whether it is the one that tries it: then one of the methods below must be told what became of it."""
        if self.state is State.OPEN and now_s >= self._retry_at_s:
            self.state = State.TRYING
            return True
        return False

    def answered(self, tries: bool) -> None:
        """It has begun to answer: enough for who was waiting to hear of it, not yet for forgetting what went wrong before."""
        if tries:
            self.state = State.CLOSED

    def succeeded(self) -> None:
        """It has answered, be it with a refusal of what the client asked."""
        self._in_a_row = 0
        self.state = State.CLOSED

    def failed(self, tries: bool, now_s: float) -> None:
        """It has not answered, or said that it cannot."""
        self._in_a_row += 1
        tried = tries and self.state is State.TRYING
        if tried or (self.state is State.CLOSED and self._in_a_row >= self._failures):
            self.state = State.OPEN
            self._retry_at_s = now_s + self._open_s

    def given_up(self, tries: bool) -> None:
        """Nobody waited for its answer: the next one tries it at once."""
        if tries and self.state is State.TRYING:
            self.state = State.OPEN

    def rest(self, wait_s: float, now_s: float) -> None:
        """It asked not to be asked for so long."""
        self._rests_until_s = max(self._rests_until_s, now_s + min(wait_s, LONGEST_REST_S))
