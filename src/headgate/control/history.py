"""What control remembers from lap to lap. Only of what is alive, so it stays small; a restart loses nothing that matters."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from headgate.control.world import LIVE, Load, Past, requests
from headgate.domain.replica import Replica, ReplicaState


class History:
    """Owned by the loop. `note` once a lap, then `past`."""

    def __init__(self, down_window_s: float) -> None:
        self._window_ms = down_window_s * 1000
        self.clear()

    def clear(self) -> None:
        """Another control may have acted meanwhile: start anew."""
        self._peaks: dict[str, deque[tuple[int, int]]] = {}
        self._met: dict[str, int] = {}
        self._ensured: dict[tuple[str, str], int] = {}
        self._draining: dict[str, int] = {}

    def note(self, now_ms: int, rows: Sequence[Replica], loads: Mapping[str, Load], demands: Mapping[str, int]) -> None:
        """Takes in one lap's facts. `rows`: those that have not ended."""
        live: dict[str, list[Replica]] = {}
        for row in rows:
            if row.state in LIVE:
                live.setdefault(row.deployment_key, []).append(row)
        for key in self._peaks.keys() - live.keys():
            del self._peaks[key]
        for key, own in live.items():
            self._note_peak(now_ms, key, own, requests(loads.get(key)))
            if key in demands and any(row.state is ReplicaState.READY for row in own):
                self._met[key] = demands[key]
        for key in self._met.keys() - demands.keys():
            del self._met[key]
        draining = [row.id for row in rows if row.state is ReplicaState.DRAINING]
        self._draining = {replica_id: self._draining.get(replica_id, now_ms) for replica_id in draining}

    def _note_peak(self, now_ms: int, key: str, live: list[Replica], load: int) -> None:
        """Keeps the falling maxima of the window: the first is the greatest."""
        peaks = self._peaks.get(key)
        if peaks is None:
            # What load there was before is unknown (control may be new), so what is there stays for a window.
            peaks = self._peaks[key] = deque([(now_ms, len(live))])
        asked = -(-load // max(1, live[-1].slots))
        while peaks and peaks[-1][1] <= asked:
            peaks.pop()
        peaks.append((now_ms, asked))
        while peaks[0][0] <= now_ms - self._window_ms:
            peaks.popleft()

    def note_ensured(self, endpoint_id: str, environment_key: str, now_ms: int) -> None:
        """An environment has been asked for."""
        self._ensured[endpoint_id, environment_key] = now_ms

    def forget_endpoints(self, living: frozenset[str]) -> None:
        """Drops what belongs to endpoints that are no more."""
        self._ensured = {key: at for key, at in self._ensured.items() if key[0] in living}

    def past(self) -> Past:
        """What the plan may know of it."""
        return Past(
            peaks={key: peaks[0][1] for key, peaks in self._peaks.items()},
            met=self._met,
            ensured=self._ensured,
            draining_since=self._draining,
        )
