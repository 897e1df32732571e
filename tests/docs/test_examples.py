"""The examples do what they say, as a user would run them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.scenario.house import TOKEN, House, clean_environment
from tests.scenario.language_house import LANGUAGE

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


@pytest.mark.scenario
def test_the_door_to_language_models_opens_is_governed_and_counts(tmp_path: Path) -> None:
    with House(tmp_path / "data", **LANGUAGE) as house:
        environment = clean_environment(DATABRICKS_HOST=house.url, DATABRICKS_TOKEN=TOKEN)
        script = [sys.executable, str(ROOT / "examples" / "02_language_models.py")]
        ran = subprocess.run(script, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for said in (
        "assistant is READY",
        "503: OpenAI answered 503: Not today.",
        "You said: Good morning\n  You said: Good morning",
        "input_guardrail_triggered: [{'role': 'user', 'content': 'I am <EMAIL_ADDRESS>'}]",
        "429, come again in",
        "requests were answered 200, with",
    ):
        assert said in ran.stdout, ran.stdout + ran.stderr
    assert ran.stdout.count("●") == 9
