"""The arithmetic between measurements and the published ratio table."""

from __future__ import annotations

import pytest
from bench import report
from bench.report import Measurement, Target, Verdict


def measured(server: str, requests_per_s: float, **changes: object) -> Measurement:
    values: dict[str, object] = {
        "model": "light",
        "connections": 32,
        "round": 0,
        "server": server,
        "requests_per_s": requests_per_s,
        "p50_ms": 1.0,
        "p99_ms": 2.0,
        "errors": 0,
        "cpu_ms_per_request": 0.1,
    }
    return Measurement(**(values | changes))  # type: ignore[arg-type]


def test_a_line_holds_medians_the_best_round_and_all_errors() -> None:
    rounds = [
        measured("headgate", speed, p99_ms=p99, errors=errors)
        for speed, p99, errors in ((100, 5.0, 0), (300, 1.0, 2), (200, 3.0, 1))
    ]
    (line,) = report.lines(rounds)
    assert (line.requests_per_s, line.best_requests_per_s, line.p99_ms, line.errors) == (200, 300, 3.0, 3)


def test_the_ratio_is_to_the_fastest_peer_at_the_same_model_and_concurrency() -> None:
    table = report.lines(
        [
            measured("headgate", 1200),
            measured("mlflow", 30),
            measured("mlserver", 100),
            measured("fastapi", 5000, connections=8),
            measured("fastapi", 5000, model="heavy"),
        ]
    )
    assert report.ratio(table, Target("light", 32, 12)) == 12
    assert report.ratio(table, Target("light", 32, 20, peer="mlflow")) == 40


@pytest.mark.parametrize("servers", [["headgate"], ["mlserver"], []])
def test_there_is_no_ratio_without_both_sides(servers: list[str]) -> None:
    table = report.lines(measured(server, 10) for server in servers)
    assert report.ratio(table, Target("light", 32, 12)) is None


def test_a_peer_that_answered_nothing_makes_no_ratio() -> None:
    table = report.lines([measured("headgate", 10), measured("mlflow", 0)])
    assert report.ratio(table, Target("light", 32, 20, peer="mlflow")) is None


def test_only_what_was_measured_is_judged() -> None:
    table = report.lines([measured("headgate", 1100, p99_ms=7.9), measured("mlserver", 100)])
    judged = report.verdicts(table)
    assert [(v.target.connections, v.target.peer, v.passed) for v in judged] == [(32, "", False), (32, None, True)]


def test_a_target_met_exactly_is_passed() -> None:
    assert Verdict(Target("light", 1, 4), 4.0).passed
    assert Verdict(Target("light", 32, 8, peer=None), 8.0).passed
    assert str(Verdict(Target("light", 1, 4), 3.9)) == "MISS  light c=1: 3.9x the best peer, at least 4x"


def test_the_table_has_a_line_per_server_and_the_ratios() -> None:
    table = report.lines([measured("headgate", 1200), measured("mlserver", 100, errors=3)])
    text = report.markdown(table, {"mlserver": "MLServer"})
    assert "| headgate | 1,200 (1,200) | 1.00 / 2.00 | 100 | 0 |" in text
    assert "| MLServer | 100 (100) | 1.00 / 2.00 | 100 | 3 |" in text
    assert "| **ours / best peer** | **12.0×** |" in text
    assert len({line.count("|") for line in text.splitlines() if line.startswith("|")}) == 1
