"""How often the loop may run: at once after a quiet time, at a steady rate in a storm of notices."""

from __future__ import annotations


class Pace:
    """Allows `burst` laps in a row, then `per_s` laps a second. Times are monotonic seconds."""

    def __init__(self, burst: int = 20, per_s: float = 10.0) -> None:
        self._step_s = 1.0 / per_s
        self._credit_s = burst * self._step_s
        self._due_s = float("-inf")

    def delay_s(self, now_s: float) -> float:
        """How long the next lap has to wait."""
        return max(0.0, self._due_s - self._credit_s - now_s)

    def count(self, now_s: float) -> None:
        """A lap begins."""
        self._due_s = max(self._due_s, now_s) + self._step_s
