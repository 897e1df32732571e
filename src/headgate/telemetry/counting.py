"""How a process counts: in memory, with a snapshot about once a second in `run_dir/metrics` for whoever shows all processes.

Every process (server, control, agent) builds one `Metrics`. Counting is cheap (no lock, no file): hot paths keep the
children they count with. Series of what is deleted go after a while, so nothing grows for ever.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from headgate.telemetry import exposition, metrics, snapshots
from headgate.telemetry.snapshots import Sample

logger = logging.getLogger(__name__)

RETENTION_S = 900.0
"""Numbers of a served entity that is no more are shown this long, so that a last scrape gets them; then they go."""

_WINDOW_S = 60.0
_WINDOW_STEP_S = 5.0


class Number:
    """A counter or gauge with its labels filled in."""

    __slots__ = ("history", "value")

    def __init__(self, value: float = 0.0) -> None:
        self.value = value
        self.history: list[tuple[float, float]] = []

    def add(self, amount: float = 1.0) -> None:
        self.value += amount

    def set(self, value: float) -> None:
        self.value = value

    def last_minute(self, now_s: float) -> float:
        """Growth within the last minute, to 5 seconds; call it every few seconds."""
        history = self.history
        while len(history) > 1 and history[1][0] <= now_s - _WINDOW_S:
            history.pop(0)
        if not history:
            history.append((now_s, 0.0))  # began after the previous look
        if history[-1][0] <= now_s - _WINDOW_STEP_S:
            history.append((now_s, self.value))
        return self.value - history[0][1]


class Histogram:
    """A histogram with its labels filled in."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.total = 0.0
        self.counts = [0] * (len(metrics.BUCKETS_MS) + 1)

    def observe(self, milliseconds: float) -> None:
        self.total += milliseconds
        self.counts[bisect_left(metrics.BUCKETS_MS, milliseconds)] += 1


@dataclass(frozen=True, slots=True)
class Usage:
    """What the replicas of a served entity use, in per cent of what they may; mean over replicas."""

    cpu_percentage: float
    memory_percentage: float


class EntitySeries:
    """The children one served entity is counted with; kept by whoever counts."""

    __slots__ = (
        "_answers", "_counted", "_endpoint", "_entity", "concurrency", "deaths", "in_flight", "prediction", "queue",
        "queued", "request",
    )  # fmt: skip

    def __init__(self, counted: Metrics, endpoint: str, entity: str) -> None:
        self._counted, self._endpoint, self._entity = counted, endpoint, entity
        self._answers: dict[int, Number] = {}
        self.request = counted.histogram(metrics.REQUEST_SECONDS, endpoint, entity)
        self.queue = counted.histogram(metrics.QUEUE_SECONDS, endpoint, entity)
        self.prediction = counted.histogram(metrics.PREDICTION_SECONDS, endpoint, entity)
        self.deaths = counted.number(metrics.REPLICA_DEATHS, endpoint, entity)
        self.in_flight = counted.number(metrics.IN_FLIGHT, endpoint, entity)
        self.queued = counted.number(metrics.QUEUED, endpoint, entity)
        self.concurrency = counted.number(metrics.CONCURRENCY, endpoint, entity)

    def answered(self, status: int) -> None:
        """Counts one answer by its HTTP status."""
        child = self._answers.get(status)
        if child is None:
            child = self._counted.number(metrics.REQUESTS, self._endpoint, self._entity, str(status))
            self._answers[status] = child
        child.value += 1.0

    def finished(self, status: int, total_ms: float, queue_ms: float, execute_ms: float) -> None:
        """Counts one answer: its HTTP status, its time in all, waiting, and in the model."""
        self.answered(status)
        self.request.observe(total_ms)
        self.queue.observe(queue_ms)
        self.prediction.observe(execute_ms)


class Metrics:
    """What one process counts. Children may be used from one thread at a time, everything else from any."""

    def __init__(self, folder: Path, process: str) -> None:
        """`process` names the snapshot (`server-0`); a restarted process of that name counts on from there."""
        self._folder = folder
        self.process = process
        self._numbers: dict[tuple[str, tuple[str, ...]], Number] = {}
        self._histograms: dict[tuple[str, tuple[str, ...]], Histogram] = {}
        self._gone: dict[tuple[str, str], float] = {}
        self._written = b""
        self._lock = threading.Lock()
        self._writing = threading.Lock()  # a slow disk must not hold up `retain`, which the event loop calls
        self._resume(snapshots.read(folder / f"{process}.json"))

    def number(self, metric: metrics.Metric, *labels: str) -> Number:
        """The counter or gauge with these label values, in the order of `metric.labels`."""
        child = self._numbers.get((metric.name, labels))
        if child is None:
            child = self._numbers[metric.name, labels] = Number()
        return child

    def histogram(self, metric: metrics.Metric, *labels: str) -> Histogram:
        """The histogram with these label values."""
        child = self._histograms.get((metric.name, labels))
        if child is None:
            child = self._histograms[metric.name, labels] = Histogram()
        return child

    def entity(self, endpoint: str, entity: str) -> EntitySeries:
        """The children of a served entity."""
        return EntitySeries(self, endpoint, entity)

    def set_replica_usage(self, usage: Mapping[tuple[str, str], Usage]) -> None:
        """Replaces what is known of every served entity's use; keys are (endpoint name, served entity name)."""
        with self._lock:
            for name, labels in [
                key for key in self._numbers if key[0] in (metrics.REPLICA_CPU.name, metrics.REPLICA_MEMORY.name)
            ]:
                if labels not in usage:
                    del self._numbers[name, labels]
            for labels, used in usage.items():
                self.number(metrics.REPLICA_CPU, *labels).set(used.cpu_percentage)
                self.number(metrics.REPLICA_MEMORY, *labels).set(used.memory_percentage)

    def retain(self, live: Iterable[tuple[str, str]]) -> None:
        """Says which (endpoint, served entity) there are; numbers of others go after `RETENTION_S`."""
        kept = set(live)
        now_s = time.monotonic()
        with self._lock:
            self._gone = {pair: self._gone.get(pair, now_s) for pair in self._pairs() - kept}

    def flush(self) -> None:
        """Writes the snapshot. Call it about once a second, from any thread; a full disk is logged, not raised."""
        with self._writing:
            with self._lock:
                self._forget(time.monotonic() - RETENTION_S)
                self._measure_process()
                content = snapshots.encode(self._samples(time.monotonic()))
            try:
                snapshots.write(self._folder / f"{self.process}.json", content, changed=content != self._written)
                self._written = content
            except OSError as error:
                logger.warning("metrics were not written to %s: %s", self._folder, error)

    def render_all(self) -> bytes:
        """`GET /metrics`: every metric of every process of this machine, Prometheus text."""
        self.flush()
        return exposition.render_all(snapshots.read_all(self._folder))

    def render_endpoint(self, endpoint: str) -> str:
        """`export-metrics` of one endpoint, with Databricks' metric names."""
        self.flush()
        return exposition.render_endpoint(snapshots.read_all(self._folder), endpoint)

    def _pairs(self) -> set[tuple[str, str]]:
        keys = [*self._numbers, *self._histograms]
        return {(labels[0], labels[1]) for name, labels in keys if metrics.ALL[name].labels[:2] == metrics.ENTITY}

    def _samples(self, now_s: float) -> list[Sample]:
        samples = []
        for (name, labels), number in list(self._numbers.items()):
            recent = number.last_minute(now_s) if metrics.ALL[name].windowed else 0.0
            samples.append(Sample(name, labels, number.value, recent))
        for (name, labels), histogram in list(self._histograms.items()):
            samples.append(Sample(name, labels, histogram.total, counts=tuple(histogram.counts)))
        return samples

    def _forget(self, gone_before_s: float) -> None:
        due = {pair for pair, since in self._gone.items() if since <= gone_before_s}
        if not due:
            return
        for name, labels in [*self._numbers, *self._histograms]:
            if metrics.ALL[name].labels[:2] == metrics.ENTITY and labels[:2] in due:
                self._numbers.pop((name, labels), None)
                self._histograms.pop((name, labels), None)
        for pair in due:
            del self._gone[pair]

    def _measure_process(self) -> None:
        times = os.times()
        self.number(metrics.PROCESS_CPU, self.process).set(round(times.user + times.system, 1))
        try:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
        except (OSError, ValueError):
            return  # no /proc on this system
        self.number(metrics.PROCESS_MEMORY, self.process).set(pages * os.sysconf("SC_PAGESIZE"))

    def _resume(self, samples: Iterable[Sample]) -> None:
        now_s = time.monotonic()
        for sample in samples:
            metric = metrics.ALL.get(sample.name)
            if metric is None or metric.kind == "gauge" or metric is metrics.PROCESS_CPU:
                continue
            if metric.kind == "counter":
                number = self.number(metric, *sample.labels)
                number.value = sample.value
                number.history.append((now_s, sample.value))
            elif len(sample.counts) == len(metrics.BUCKETS_MS) + 1:
                histogram = self.histogram(metric, *sample.labels)
                histogram.total, histogram.counts = sample.value, list(sample.counts)
