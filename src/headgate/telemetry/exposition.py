"""Turns the samples of all processes into Prometheus text: the house's own metrics, and Databricks' names for one endpoint.

Called by `counting.Metrics`. Pure: samples in, text out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from headgate.telemetry import metrics
from headgate.telemetry.metrics import BUCKETS_MS, Metric
from headgate.telemetry.snapshots import Sample

_LABELS = ["endpoint", "served_model_name"]


@dataclass(slots=True)
class _Merged:
    """One child, all processes together."""

    value: float = 0.0
    last_minute: float = 0.0
    counts: list[int] = field(default_factory=list)

    def add(self, sample: Sample, merge: str) -> None:
        self.value = max(self.value, sample.value) if merge == "max" else self.value + sample.value
        self.last_minute += sample.last_minute
        self.counts = [a + b for a, b in zip(self.counts or [0] * len(sample.counts), sample.counts, strict=True)]


_Families = dict[str, dict[tuple[str, ...], _Merged]]


class _Once(Collector):
    """Families made beforehand, as prometheus_client wants to be handed them."""

    def __init__(self, families: Iterable[Any]) -> None:
        self._families = families

    def collect(self) -> Iterable[Any]:
        return self._families


def render_all(samples: Iterable[Sample]) -> bytes:
    """`GET /metrics`."""
    merged = _merge(samples)
    return generate_latest(_Once(_family(metrics.ALL[name], children) for name, children in merged.items()))


def render_endpoint(samples: Iterable[Sample], endpoint: str) -> str:
    """`GET …/serving-endpoints/{name}/metrics`: gauges and histograms per served entity."""
    merged = _merge(sample for sample in samples if _is_of(sample, endpoint))
    gauges = (
        ("cpu_usage_percentage", "CPU used, mean over replicas.", metrics.REPLICA_CPU),
        ("mem_usage_percentage", "Memory used, mean over replicas.", metrics.REPLICA_MEMORY),
        ("provisioned_concurrent_requests_total", "Provisioned concurrency now.", metrics.CONCURRENCY),
    )
    histograms = (
        ("request_latency_ms", "From request to the end of its answer.", metrics.REQUEST_SECONDS),
        ("model_queue_time_ms", "Waiting for a free slot.", metrics.QUEUE_SECONDS),
        ("model_prediction_latency_ms", "Inside the model.", metrics.PREDICTION_SECONDS),
    )
    families: list[Any] = []
    for name, text, metric in gauges:
        gauge = GaugeMetricFamily(name, text, labels=_LABELS)
        for labels, child in merged.get(metric.name, {}).items():
            gauge.add_metric(labels, child.value)
        families.append(gauge)
    families += _last_minute(merged.get(metrics.REQUESTS.name, {}))
    for name, text, metric in histograms:
        histogram = HistogramMetricFamily(name, text, labels=_LABELS)
        for labels, child in merged.get(metric.name, {}).items():
            histogram.add_metric(labels, _cumulated(child, 1.0), child.value)
        families.append(histogram)
    return generate_latest(_Once(families)).decode()


def _is_of(sample: Sample, endpoint: str) -> bool:
    metric = metrics.ALL.get(sample.name)
    return metric is not None and metric.labels[:2] == metrics.ENTITY and sample.labels[0] == endpoint


def _last_minute(answers: Mapping[tuple[str, ...], _Merged]) -> Iterator[GaugeMetricFamily]:
    """Databricks' request counts, which are of the last minute and therefore gauges."""
    kinds = (("request_count_total", ""), ("request_4xx_count_total", "4"), ("request_5xx_count_total", "5"))
    for name, first_digit in kinds:
        totals: dict[tuple[str, ...], float] = {}
        for (endpoint, entity, code), child in answers.items():
            counted = child.last_minute if code.startswith(first_digit) else 0.0
            totals[endpoint, entity] = totals.get((endpoint, entity), 0.0) + counted
        which = f" with a {first_digit}xx status" if first_digit else ""
        family = GaugeMetricFamily(name, f"Requests answered{which} in the last minute.", labels=_LABELS)
        for labels, total in totals.items():
            family.add_metric(labels, total)
        yield family


def _merge(samples: Iterable[Sample]) -> _Families:
    merged: _Families = {}
    for sample in samples:
        metric = metrics.ALL.get(sample.name)
        if metric is None or (metric.kind == "gauge" and not sample.fresh):
            continue
        merged.setdefault(sample.name, {}).setdefault(sample.labels, _Merged()).add(sample, metric.merge)
    return merged


def _family(metric: Metric, children: Mapping[tuple[str, ...], _Merged]) -> Any:
    if metric.kind == "histogram":
        histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for labels, child in children.items():
            histogram.add_metric(labels, _cumulated(child, 1000.0), child.value / 1000.0)
        return histogram
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.labels)
    for labels, child in children.items():
        family.add_metric(labels, child.value)
    return family


def _cumulated(child: _Merged, divisor: float) -> list[tuple[str, float]]:
    bounds = [*(repr(bound / divisor) for bound in BUCKETS_MS), "+Inf"]
    total, rows = 0, []
    for bound, count in zip(bounds, child.counts, strict=True):
        total += count
        rows.append((bound, float(total)))
    return rows
