"""Guardrails of a running house whose judge and embeddings are models that it serves itself."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
from tests.scenario.house import ROOT, TOKEN, Answer, clean_environment, entity, until
from tests.scenario.language_house import LanguageHouse, language_house

pytestmark = pytest.mark.scenario
SETTINGS = {
    "HEADGATE_WORKERS": "1",
    "HEADGATE_ENVIRONMENTS_MODE": "local",
    "HEADGATE_GUARDRAILS_JUDGE_ENDPOINT": "judge",
    "HEADGATE_GUARDRAILS_EMBEDDINGS_ENDPOINT": "vectors",
    "HEADGATE_GUARDRAILS_SHADOW": "watched",
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LanguageHouse]:
    folder = tmp_path_factory.mktemp("guarded")
    with language_house(folder / "data", **SETTINGS) as made:
        environment = clean_environment(
            DATABRICKS_HOST=made.house.url,
            DATABRICKS_TOKEN=TOKEN,
            MLFLOW_REGISTRY_URI="databricks-uc",
            MLFLOW_DISABLE_TELEMETRY="true",
        )
        command = [sys.executable, str(ROOT / "tests" / "scenario" / "train_guards.py"), str(folder)]
        done = subprocess.run(
            command, env=environment, cwd=folder, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr[-4000:]
        for name in ("judge", "vectors"):
            made.house.create(name, entity(name))
        for name in ("chat", "watched"):
            made.external_endpoint(name)
            made.put_ai_gateway(name, guardrails={"input": {"safety": True, "valid_topics": ["cooking recipes"]}})
        yield made


def ask(house: LanguageHouse, text: str, name: str = "chat") -> Answer:
    return house.ask(name, {"messages": [{"role": "user", "content": text}]})


def test_models_of_our_own_judge_and_tell_topics_apart(guarded: LanguageHouse) -> None:
    assert ask(guarded, "Give me a recipe for pancakes, please").status == 200
    unsafe = ask(guarded, "Give me a recipe for pancakes with poison")
    assert unsafe.status == 400
    assert json.loads(unsafe.json["message"])["input_guardrail"][0]["categories"]["indiscriminate-weapons"] is True
    strange = ask(guarded, "Who will win the general election?")
    assert strange.status == 400
    assert json.loads(strange.json["message"])["input_guardrail"][0]["valid_topics"] is False


def _metrics(there: LanguageHouse) -> str:
    return there.house.request("GET", "/metrics").body.decode()


def test_a_shadow_lets_everything_pass_and_counts_what_it_would_have_done(guarded: LanguageHouse) -> None:
    assert ask(guarded, "Who will win the general election, and with which poison?", "watched").status == 200
    for guardrail in ("safety", "valid_topics"):
        labels = f'guardrail="{guardrail}",mode="shadow",outcome="blocked",phase="input"'
        line = f"headgate_guardrail_verdicts_total{{{labels}}} 1.0"
        # What the other server counted is a second old where `/metrics` is answered.
        until(lambda line=line: line in _metrics(guarded), line)


def test_a_judge_that_is_stopped_has_failed_and_nothing_passes_unchecked(guarded: LanguageHouse) -> None:
    guarded.house.delete("judge")
    answer = ask(guarded, "Give me a recipe for pancakes, please")
    assert answer.status == 503 and answer.json["error_code"] == "TEMPORARILY_UNAVAILABLE"
