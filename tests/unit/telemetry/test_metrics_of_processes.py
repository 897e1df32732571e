"""Counting in several processes and showing it on one page."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from headgate.telemetry import counting, metrics, snapshots
from headgate.telemetry.counting import Metrics, Usage


def shown(page: str | bytes) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every sample of a page by name and label values in the order of their names."""
    text = page.decode() if isinstance(page, bytes) else page
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name, tuple(value for _, value in sorted(sample.labels.items()))] = sample.value
    return found


def test_counters_of_all_processes_are_added_up(tmp_path: Path) -> None:
    servers = [Metrics(tmp_path, f"server-{number}") for number in range(2)]
    for server in servers:
        for _ in range(3):
            server.entity("churn", "churn-1").answered(200)
        server.flush()
    assert shown(servers[0].render_all())["headgate_requests_total", ("200", "churn", "churn-1")] == 6


def test_a_histogram_is_cumulated_and_in_seconds(tmp_path: Path) -> None:
    counted = Metrics(tmp_path, "server-0")
    series = counted.entity("churn", "churn-1")
    for milliseconds in (0.4, 1.0, 1.5, 10_000_000.0):
        series.request.observe(milliseconds)
    page = shown(counted.render_all())
    labels = ("churn", "churn-1")
    assert page["headgate_request_seconds_bucket", ("churn", "0.0005", "churn-1")] == 1
    assert page["headgate_request_seconds_bucket", ("churn", "0.001", "churn-1")] == 2
    assert page["headgate_request_seconds_bucket", ("churn", "0.002", "churn-1")] == 3
    assert page["headgate_request_seconds_bucket", ("churn", "600.0", "churn-1")] == 3
    assert page["headgate_request_seconds_bucket", ("churn", "+Inf", "churn-1")] == 4
    assert page["headgate_request_seconds_count", labels] == 4
    assert page["headgate_request_seconds_sum", labels] == pytest.approx(10_000.0029)


def test_a_restarted_process_counts_on_from_where_it_was(tmp_path: Path) -> None:
    first = Metrics(tmp_path, "server-0")
    first.entity("churn", "churn-1").answered(200)
    first.entity("churn", "churn-1").request.observe(3)
    first.number(metrics.IN_FLIGHT, "churn", "churn-1").set(7)
    first.flush()
    second = Metrics(tmp_path, "server-0")
    second.entity("churn", "churn-1").answered(200)
    page = shown(second.render_all())
    assert page["headgate_requests_total", ("200", "churn", "churn-1")] == 2
    assert page["headgate_request_seconds_count", ("churn", "churn-1")] == 1
    assert page["headgate_requests_in_flight", ("churn", "churn-1")] == 0


def test_gauges_of_a_dead_process_do_not_count_but_its_counters_do(tmp_path: Path) -> None:
    dead, alive = Metrics(tmp_path, "server-0"), Metrics(tmp_path, "server-1")
    dead.number(metrics.IN_FLIGHT, "churn", "churn-1").set(5)
    dead.entity("churn", "churn-1").answered(200)
    dead.flush()
    long_ago = time.time() - snapshots.FRESH_S - 1
    os.utime(tmp_path / "server-0.json", (long_ago, long_ago))
    alive.number(metrics.IN_FLIGHT, "churn", "churn-1").set(2)
    page = shown(alive.render_all())
    assert page["headgate_requests_in_flight", ("churn", "churn-1")] == 2
    assert page["headgate_requests_total", ("200", "churn", "churn-1")] == 1


def test_an_idle_process_stays_fresh(tmp_path: Path) -> None:
    counted = Metrics(tmp_path, "server-0")
    counted.flush()
    file = tmp_path / "server-0.json"
    os.utime(file, (0, 0))
    counted.flush()
    assert file.stat().st_mtime > time.time() - 60


def test_series_of_what_was_deleted_go_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Metrics(tmp_path, "server-0")
    for name in ("kept", "deleted"):
        counted.entity(name, f"{name}-1").answered(200)
    counted.retain([("kept", "kept-1")])
    assert b'endpoint="deleted"' in counted.render_all(), "a last scrape gets them"
    monkeypatch.setattr(counting, "RETENTION_S", 0.0)
    page = counted.render_all()
    assert b'endpoint="deleted"' not in page
    assert b'endpoint="kept"' in page
    assert b"deleted" not in (tmp_path / "server-0.json").read_bytes()


def test_an_endpoint_that_comes_back_keeps_its_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Metrics(tmp_path, "server-0")
    counted.entity("churn", "churn-1").answered(200)
    counted.retain([])
    counted.retain([("churn", "churn-1")])
    monkeypatch.setattr(counting, "RETENTION_S", 0.0)
    assert b'endpoint="churn"' in counted.render_all()


def test_a_snapshot_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "server-9.json").write_text("{broken")
    (tmp_path / "server-8.json").write_text(json.dumps([["headgate_of_a_newer_version_total", [], 1, 0, []]]))
    counted = Metrics(tmp_path, "server-0")
    counted.number(metrics.REPORT_FAILURES).add()
    assert shown(counted.render_all())["headgate_load_report_failures_total", ()] == 1
    assert "request_latency_ms" in counted.render_endpoint("churn")


def test_a_full_disk_is_logged_and_not_raised(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    Metrics(tmp_path / "file" / "metrics", "server-0").flush()
    assert "metrics were not written" in caplog.text


def test_an_endpoints_metrics_have_databricks_names(tmp_path: Path) -> None:
    counted = Metrics(tmp_path, "server-0")
    series = counted.entity("churn", "churn-1")
    for status in (200, 200, 400, 429, 500):
        series.answered(status)
    series.request.observe(12.0)
    series.queue.observe(3.0)
    series.prediction.observe(8.0)
    series.concurrency.set(4)
    counted.entity("other", "other-1").answered(200)
    control = Metrics(tmp_path, "control")
    control.set_replica_usage({("churn", "churn-1"): Usage(12.5, 40.0), ("other", "other-1"): Usage(1, 1)})
    control.flush()
    text = counted.render_endpoint("churn")
    page = shown(text)
    labels = ("churn", "churn-1")
    assert page["cpu_usage_percentage", labels] == 12.5
    assert page["mem_usage_percentage", labels] == 40.0
    assert page["provisioned_concurrent_requests_total", labels] == 4
    assert page["request_count_total", labels] == 5
    assert page["request_4xx_count_total", labels] == 2
    assert page["request_5xx_count_total", labels] == 1
    assert page["request_latency_ms_sum", labels] == 12.0
    assert page["request_latency_ms_bucket", ("churn", "20.0", "churn-1")] == 1
    assert page["model_queue_time_ms_count", labels] == 1
    assert page["model_prediction_latency_ms_count", labels] == 1
    assert 'served_model_name="churn-1"' in text
    assert "other" not in text


def test_replicas_that_are_gone_use_nothing(tmp_path: Path) -> None:
    control = Metrics(tmp_path, "control")
    control.set_replica_usage({("churn", "churn-1"): Usage(12.5, 40.0)})
    control.set_replica_usage({("churn", "churn-2"): Usage(1.0, 2.0)})
    page = shown(control.render_all())
    assert ("headgate_replica_cpu_percentage", ("churn", "churn-1")) not in page
    assert page["headgate_replica_cpu_percentage", ("churn", "churn-2")] == 1.0


def test_the_last_minute_forgets_what_is_older() -> None:
    number = counting.Number()
    number.last_minute(0.0)
    number.add(10)
    assert number.last_minute(1.0) == 10
    for second in range(5, 60, 5):
        assert number.last_minute(float(second)) == 10
    number.add(1)
    assert number.last_minute(67.0) == 1
    assert len(number.history) <= 14


def test_label_values_are_escaped(tmp_path: Path) -> None:
    counted = Metrics(tmp_path, "server-0")
    counted.number(metrics.REQUESTS, 'a"b\\c', "e\n", "200").add()
    assert shown(counted.render_all())["headgate_requests_total", ("200", 'a"b\\c', "e\n")] == 1


@pytest.mark.parametrize("metric", metrics.ALL.values(), ids=lambda metric: metric.name)
def test_names_follow_prometheus_conventions(metric: metrics.Metric) -> None:
    assert metric.name.startswith("headgate_")
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert metric.kind != "histogram" or metric.name.endswith("_seconds")
    assert metric.help.endswith(".")
