"""Models looked up in threads of their own, so that a storage that is slow or away holds up no lap. Used where models lie elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, TimeoutError
from threading import Lock

from headgate.clock import Clock
from headgate.domain.environment import ModelDescription
from headgate.errors import TemporarilyUnavailable

Describe = Callable[[str, str], ModelDescription]
_PARALLEL = 4
_PATIENCE_S = 0.3
"""A storage that is near answers within this time. After one answer that took longer nobody waits for as long as `_HASTE_S`."""
_HASTE_S = 1.0
_RETRY_S = 5.0
"""What failed because the storage was away is asked again after this time."""


class Lookup:
    """`describe` that returns soon: with what is known, or TemporarilyUnavailable while it is being found out."""

    def __init__(self, describe: Describe, clock: Clock) -> None:
        self._describe = describe
        self._clock = clock
        self._threads = ThreadPoolExecutor(_PARALLEL, "lookup")
        self._asked: dict[tuple[str, str], Future[ModelDescription]] = {}
        self._again_at_s: dict[tuple[str, str], float] = {}
        self._hasty_until_s = float("-inf")
        self._lock = Lock()

    def __call__(self, entity_name: str, version: str) -> ModelDescription:
        """Raises what `describe` raises, or TemporarilyUnavailable: ask again later."""
        with self._lock:
            return self._look_up(entity_name, version)

    def _look_up(self, entity_name: str, version: str) -> ModelDescription:
        place = (entity_name, version)
        if self._clock.monotonic_s() < self._again_at_s.get(place, float("-inf")):
            raise TemporarilyUnavailable(f"{entity_name} version {version} cannot be looked up: the storage is away.")
        self._again_at_s.pop(place, None)
        asked = self._asked.get(place)
        if asked is None:
            asked = self._asked[place] = self._threads.submit(self._describe, entity_name, version)
        hasty = self._clock.monotonic_s() < self._hasty_until_s
        try:
            found = asked.result(0 if hasty else _PATIENCE_S)
        except TimeoutError:
            if not hasty:
                self._hasty_until_s = self._clock.monotonic_s() + _HASTE_S
            raise TemporarilyUnavailable(f"{entity_name} version {version} is being looked up.") from None
        except TemporarilyUnavailable:
            del self._asked[place]
            self._again_at_s[place] = self._clock.monotonic_s() + _RETRY_S
            raise
        except BaseException:
            del self._asked[place]
            raise
        del self._asked[place]
        return found
