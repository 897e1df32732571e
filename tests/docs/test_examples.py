"""The examples do what they say, as a user would run them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.scenario.house import clean_environment

ROOT = Path(__file__).parents[2]


@pytest.mark.scenario
def test_the_quickstart_goes_through_all_its_steps() -> None:
    script = str(ROOT / "examples" / "quickstart.py")
    ran = subprocess.run(
        [sys.executable, script], env=clean_environment(), capture_output=True, text=True, timeout=600, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "iris is READY" in ran.stdout
    assert "100 requests were answered by" in ran.stdout
    assert ran.stdout.count("●") == 9
