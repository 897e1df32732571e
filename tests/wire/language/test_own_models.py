"""Chat models and agents that are custom models answer on the routes of language models, through the same clients."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.scenario.house import TOKEN, clean_environment, entity
from tests.wire.language.conftest import Language, seen

pytestmark = [pytest.mark.wire, pytest.mark.scenario]
WORDS = ["Our", " own", " words."]
TEXT = "".join(WORDS)
MODELS = ("our_chat", "our_agent", "our_older_agent", "our_embeddings")


@pytest.fixture(scope="module")
def own_models(language: Language, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("training")
    environment = clean_environment(
        DATABRICKS_HOST=language.there.house.url,
        DATABRICKS_TOKEN=TOKEN,
        MLFLOW_REGISTRY_URI="databricks-uc",
        MLFLOW_DISABLE_TELEMETRY="true",
    )
    command = [sys.executable, "-W", "ignore", str(Path(__file__).with_name("train.py")), str(folder)]
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    house = language.there.house
    for model in MODELS:
        wish = {"name": model.replace("_", "-"), "config": {"served_entities": [entity(model)]}}
        house.api("POST", "", wish)
    for model in MODELS:
        house.settled(model.replace("_", "-"))


@pytest.mark.usefixtures("own_models")
def test_own_chat_models_and_agents_answer_where_language_models_do(language: Language) -> None:
    got = seen(language.walk("own_models_walk.py", sys.executable))
    assert got == {
        "chat_model": [TEXT, "chat.completion", WORDS, TEXT],
        "agent": [TEXT, WORDS, "response.completed"],
        "older_agent": [TEXT, WORDS],
        "agents_and_chat_models_by_other_dialects": [
            [TEXT, TEXT, "stop"],
            [WORDS, "stop"],
            *[[TEXT, "end_turn", WORDS, TEXT, TEXT]] * 2,
        ],
        "packed_embeddings": [[[0.5, -0.25], [0.5, -0.25]]] * 2,
        "embeddings": [[0.5, -0.25], [0.5, -0.25]],
        "by_the_sdk": TEXT,
        "refusals": {"wrong input": ["BadRequestError", 400], "unknown": ["NotFoundError", 404]},
    }
