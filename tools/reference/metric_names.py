"""docs/reference/metrics.md: every metric of `GET /metrics`."""

from __future__ import annotations

from tools.reference.markdown import code, table
from tools.reference.markdown import page as make_page

from headgate.telemetry import metrics

INTRODUCTION = """`GET /metrics` shows the whole server in Prometheus' text format. `headgate serving-endpoints export-metrics NAME` (and the SDK's
`export_metrics`) show one endpoint under Databricks' metric names."""


def page() -> str:
    rows = [
        (code(metric.name), metric.kind, ", ".join(code(label) for label in metric.labels), metric.help)
        for metric in metrics.ALL.values()
    ]
    return make_page("Metrics", INTRODUCTION, table(("Metric", "Kind", "Labels", "Meaning"), rows))
