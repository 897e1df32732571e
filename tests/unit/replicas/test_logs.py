"""Reading and bounding logs."""

from __future__ import annotations

import os

from headgate.replicas import logs
from headgate_worker.protocol import log_line


def test_replicas_are_merged_by_time_and_traces_stay_together(tmp_path):
    (tmp_path / "r1.log").write_text(
        log_line("r1", "stdout", "one", 1.0) + log_line("r1", "stderr", "Trace\nback", 3.0)
    )
    (tmp_path / "r2.log").write_text(
        log_line("r2", "stdout", "two", 2.0) + "raw words\n" + log_line("r2", "x", "four", 4.0)
    )
    (tmp_path / "r2.log.1").write_text(log_line("r2", "stdout", "zero", 0.5))
    lines = logs.read_service_logs(tmp_path, 10_000).splitlines()
    assert [line.split(" ")[-1] for line in lines] == ["zero", "one", "two", "words", "Trace", "back", "four"]


def test_only_the_end_is_read_in_whole_lines(tmp_path):
    (tmp_path / "r1.log").write_text(
        "".join(log_line("r1", "stdout", f"line {number}", number) for number in range(1000))
    )
    text = logs.read_service_logs(tmp_path, 500)
    assert len(text) <= 500
    assert text.startswith("1970-")
    assert text.endswith("line 999\n")
    build = tmp_path / "b.log"
    build.write_text("first\n" * 10 + "last\n")
    assert logs.read_build_log(build, 8) == "last\n"
    assert logs.read_build_log(build, 5) == "last\n"
    assert logs.last_lines(build, 2) == "first\nlast"


def test_what_is_not_there_is_empty(tmp_path):
    assert logs.read_service_logs(tmp_path / "gone", 100) == ""
    assert logs.read_build_log(tmp_path / "gone.log", 100) == ""


def test_logs_of_ended_replicas_are_bounded(tmp_path):
    for number in range(5):
        path = tmp_path / f"r{number}.log"
        path.write_text("x")
        os.utime(path, (number, number))
    logs.prune(tmp_path, keep_files=2, keep=frozenset({"r0"}))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r0.log", "r3.log", "r4.log"]
