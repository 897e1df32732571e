"""How much of the time the loop may run: at once after a quiet time, and for a share of it in a storm of notices."""

from __future__ import annotations


class Pace:
    """Allows laps of `burst_s` together in a row, then laps for `share` of the time, however short or long they are. Times are
    monotonic seconds."""

    def __init__(self, burst_s: float = 1.0, share: float = 0.5) -> None:
        self._share = share
        self._credit_s = burst_s * (1.0 / share - 1.0)
        self._due_s = float("-inf")

    def delay_s(self, now_s: float) -> float:
        """How long the next lap has to wait."""
        return max(0.0, self._due_s - self._credit_s - now_s)

    def count(self, began_s: float, ended_s: float) -> None:
        """A lap is over."""
        self._due_s = max(self._due_s, began_s) + (ended_s - began_s) / self._share
