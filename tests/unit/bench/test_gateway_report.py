"""The arithmetic between measurements of gateways and the published tables."""

from __future__ import annotations

from bench.language import report
from bench.language.report import DIRECT, LITELLM, MLFLOW, OURS, Paced, Round

TITLES = {DIRECT: "none", OURS: "**Headgate**", LITELLM: "LiteLLM", MLFLOW: "MLflow"}


def measured(server: str, cpu_ms: float, connections: int = 32, **changes: object) -> Round:
    values: dict[str, object] = {
        "streamed": False,
        "round": 0,
        "requests_per_s": 1000.0,
        "p50_ms": 1.0,
        "p99_ms": 2.0,
        "errors": 0,
    }
    return Round(server=server, cpu_ms=cpu_ms, connections=connections, **(values | changes))  # type: ignore[arg-type]


def paced(worst_stall_ms: float, broken: int = 0) -> Paced:
    return Paced(OURS, 512, 10_000.0, 1.0, 5.0, worst_stall_ms, broken, 20.0)


ROUNDS = [
    measured(DIRECT, 0.01),
    measured(OURS, 0.2),
    measured(LITELLM, 4.0),
    measured(MLFLOW, 0.5),
    measured(DIRECT, 0.01, 1, p50_ms=0.1, p99_ms=0.5),
    measured(OURS, 0.3, 1, p50_ms=0.4, p99_ms=2.5),
    measured(OURS, 1.0, 16, streamed=True, requests_per_s=700.0),
]


def test_targets_are_held_against_cpu_added_latency_chunks_and_stalls() -> None:
    judged = {one.what: (one.measured, one.met) for one in report.verdicts(ROUNDS, [paced(40)], (16, 100))}
    assert judged == {
        "req/s per core against litellm, c=32": ("20.0×", True),
        "req/s per core against mlflow, c=32": ("2.5×", True),
        "added p50 at c=1": ("0.30 ms", True),
        "added p99 at c=1": ("2.00 ms", False),
        "SSE chunks/s": ("70,000", True),
        "longest stall, 512 streams at 20 tokens/s": ("40 ms", True),
    }


def test_a_stream_that_broke_misses_its_target() -> None:
    (verdict,) = report.verdicts([], [paced(10, broken=1)], (16, 100))
    assert not verdict.met


def test_what_was_not_measured_is_a_dash() -> None:
    table = report.whole_table(ROUNDS, TITLES, (1, 32))
    assert "| LiteLLM | – | – | – | – | 1,000 | 0.00 / 0.00 | 4.000 | 250 | 0 |" in table
    assert "| none | 1,000 | (0.10 / 0.50) |" in table
    streams = report.stream_table(ROUNDS, [paced(40)], TITLES, (16, 100))
    assert "| **Headgate** | 70,000 | 10.0 | 10,000 | 1.0 / 5.0 | 40 | 20.0 | 0 |" in streams
    assert "| MLflow | – | – | – | – | – | – | – |" in streams
