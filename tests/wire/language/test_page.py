"""The page about clients of language models: its script runs as it stands."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.docs.test_pages import FENCE, ROOT
from tests.scenario.house import TOKEN
from tests.scenario.language_house import SAID
from tests.wire import clients
from tests.wire.language.conftest import Language

pytestmark = [pytest.mark.wire, pytest.mark.scenario]
PAGE = ROOT / "docs" / "openai-routes.md"


def test_the_script_of_the_page_runs_as_it_stands(language: Language, older: Path) -> None:
    script = "\n".join(text for kind, text in FENCE.findall(PAGE.read_text()) if kind == "python")
    two = {"DATABRICKS_HOST": language.there.house.url, "DATABRICKS_TOKEN": TOKEN}
    ran = clients.run_client(older, script, {**two, "MLFLOW_DISABLE_TELEMETRY": "true"})
    assert ran.returncode == 0, ran.stdout + ran.stderr
    lines = ran.stdout.splitlines()
    assert lines == [SAID, SAID, f"{SAID} 20", "2", "True", *[f"{SAID} end_turn"] * 2, *[SAID] * 5]
