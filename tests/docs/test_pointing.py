"""The page that says "change two environment variables": its script runs as it stands, with nothing else set."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.test_pages import FENCE, ROOT
from tests.scenario.house import TOKEN, House, clean_environment

PAGE = ROOT / "docs" / "pointing-at-headgate.md"


@pytest.mark.scenario
def test_a_script_written_for_databricks_runs_with_two_variables_changed(tmp_path: Path) -> None:
    script = "\n".join(text for kind, text in FENCE.findall(PAGE.read_text()) if kind == "python")
    with House(tmp_path / "data", HEADGATE_WORKERS="2") as house:
        two = {"DATABRICKS_HOST": house.url, "DATABRICKS_TOKEN": TOKEN}
        environment = {name: value for name, value in clean_environment().items() if name != "PYTHONPATH"} | two
        ran = subprocess.run(
            [sys.executable, "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=500,
            check=False,
        )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "EndpointStateReady.READY" in ran.stdout
    assert "[1] from churn-1" in ran.stdout
    assert ran.stdout.count("[1, 0]") == 2, ran.stdout
    assert "True\n[1]" in ran.stdout
    assert list(tmp_path.glob("ml*")) == [], "tracking went to a local folder"
