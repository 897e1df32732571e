"""What was used within the last minute: one number per second, at most 61 of them. No clock of its own; slots are whole seconds."""

from __future__ import annotations

from headgate.domain.rate_limits import WINDOW_S


class Window:
    """A rolling window. What was used at second s counts until second s + 61 begins, so in no 60 seconds is more used than `total` ever was."""

    __slots__ = ("_forgotten", "_slots", "total")

    def __init__(self) -> None:
        self._slots: dict[int, int] = {}
        self._forgotten = -1
        self.total = 0

    def forget(self, slot: int) -> None:
        """Drops what is too old at that second."""
        if slot == self._forgotten:
            return
        self._forgotten = slot
        slots = self._slots
        while slots:
            first = next(iter(slots))
            if first >= slot - WINDOW_S:
                return
            self.total -= slots.pop(first)

    def add(self, slot: int, amount: int) -> None:
        """Counts. Seconds never go back."""
        self._slots[slot] = self._slots.get(slot, 0) + amount
        self.total += amount

    def take_back(self, slot: int, amount: int) -> None:
        """Counts less at that second, unless it is forgotten already."""
        counted = self._slots.get(slot, 0)
        less = min(counted, amount)
        if less:
            self._slots[slot] = counted - less
            self.total -= less

    def wait_s(self, lacking: int, now_s: float) -> float:
        """Until so much is forgotten; a whole window when there is not so much."""
        for slot, amount in self._slots.items():
            lacking -= amount
            if lacking <= 0:
                return max(0.001, slot + WINDOW_S + 1 - now_s)
        return WINDOW_S + 1.0
