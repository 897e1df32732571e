"""The table of `bench.cold`."""

from __future__ import annotations

from bench.cold import Row, percentile, phases


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert (percentile(values, 50), percentile(values, 99), percentile(values, 100)) == (50.0, 99.0, 100.0)
    assert percentile([7.0], 99) == 7.0


def test_a_row_passes_when_both_targets_are_met() -> None:
    times = [100.0] * 50 + [500.0]
    assert Row("wake", times, (150.0, 600.0)).verdict == "PASS"
    assert Row("wake", times, (150.0, 400.0)).verdict == "MISS"
    assert Row("wake", times, (150.0, None)).verdict == "PASS"
    assert Row("wake", times).verdict == ""


def test_the_header_is_read_back() -> None:
    assert phases("queue=12;load=21") == {"queue": 12.0, "load": 21.0}
    assert phases("") == {}
