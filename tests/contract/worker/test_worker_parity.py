"""The worker's answers against those of MLflow's own scoring server, over a table of requests (`score_both_ways.py`)."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.contract.worker.conftest import GUEST, HERE

BETTER = {"echo: deep (application/json)": 400}
"""Requests that MLflow's server answers 500 without a reason, and our status."""


def score_both_ways(python: str, models: Path, out: Path) -> list[dict[str, Any]]:
    """Both answers to every request of the table."""
    command = [python, "-W", "ignore", str(HERE / "score_both_ways.py"), GUEST, str(models), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text())


def differences(table: list[dict[str, Any]]) -> list[str]:
    """Where they differ; requests of which MLflow makes a 500 without a reason must have a 400 of ours."""
    found = []
    for row in table:
        ours, theirs = meaning(row["ours"]), meaning(row["theirs"])
        if row["theirs"]["type"] == "":
            if ours[0] != 400:
                found.append(f"{row['case']}: {ours}")
        elif ours != theirs:
            found.append(f"{row['case']}:\n  ours   {ours}\n  theirs {theirs}")
    return found


def meaning(answer: dict[str, Any]) -> tuple[int, str, Any]:
    """Status, type and body; where MLflow writes NaN, which is no JSON, null; sets of words in a message sorted."""
    try:
        body = json.loads(answer["body"], parse_constant=lambda constant: None)
    except ValueError:
        body = answer["body"]
    if isinstance(body, dict) and "message" in body:
        body["message"] = re.sub(
            r"\{('\w+'(?:, '\w+')*)\}", lambda match: str(sorted(match[1].split(", "))), body["message"]
        )
        if "stack_trace" in body:
            body["stack_trace"] = "…"
    return answer["status"], answer["type"], body


@pytest.fixture(scope="session")
def table(models: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return score_both_ways(sys.executable, models, tmp_path_factory.mktemp("parity") / "out.json")


def test_every_answer_has_the_status_and_the_body_of_mlflows_server(table: list[dict[str, Any]]) -> None:
    assert len(table) > 100
    assert not differences(table)
    assert {row["case"] for row in table if row["theirs"]["type"] == ""} == set(BETTER)


def test_usual_bodies_are_answered_by_the_fast_path_too(table: list[dict[str, Any]]) -> None:
    fast = [row["case"] for row in table if row["case"].endswith(", fast")]
    assert {case.partition(":")[0] for case in fast} >= {"sklearn", "numbers", "shapes", "raises"}
    assert sum(case.startswith("numbers:") for case in fast) == 4


def test_every_answer_is_json_or_says_that_it_is_text(table: list[dict[str, Any]]) -> None:
    def no_json(constant: str) -> None:
        raise AssertionError(constant)

    for row in table:
        if row["ours"]["type"] == "application/json":
            json.loads(row["ours"]["body"], parse_constant=no_json)
        else:
            assert (row["ours"]["type"], row["ours"]["status"]) == ("text/plain", 415), row
