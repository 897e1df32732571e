"""One running house in front of one fake vendor process for all of these tests, with an endpoint per scene."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.fakes import callers
from tests.scenario.house import TOKEN
from tests.scenario.language_house import LanguageHouse, external, language_house
from tests.wire import clients
from tests.wire.language.scenes import VENDORS

WALKS = Path(__file__).with_name("walks")
# databricks-openai and databricks-langchain without what they require: some of that is under another licence (databricks_walk.py).
OLDER = ("openai==2.*", "anthropic<1", "langchain-openai", "databricks-sdk", "mlflow-skinny", "numpy")
ALONE = ("databricks-openai==0.18.0", "databricks-langchain==0.22.0")


@dataclass(frozen=True)
class Language:
    """The house, and how clients are run against it."""

    there: LanguageHouse
    stranger: str
    """Token of a user who may query `talk`, see `tools` and nothing else."""

    def walk(self, script: str, python: Path | str, **environ: str) -> dict[str, Any]:
        """What a client's script saw; it took all its steps."""
        environment = {
            "DATABRICKS_HOST": self.there.house.url,
            "DATABRICKS_TOKEN": TOKEN,
            "PYTHONPATH": str(WALKS),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "LANGSMITH_TRACING": "false",
            "STRANGER": self.stranger,
            **environ,
        }
        told = clients.run_client(python, (WALKS / script).read_text(), environment).json()
        assert isinstance(told, dict)
        return told


@pytest.fixture(scope="session")
def language(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Language]:
    data_dir = tmp_path_factory.mktemp("language") / "data"
    with language_house(data_dir, HEADGATE_ENVIRONMENTS_MODE="local") as there:
        for name in VENDORS:
            make(there, name)
        for name in VENDORS:
            there.house.settled(name)
        yield Language(there, stranger(there))


@pytest.fixture(scope="session")
def older() -> Path:
    """OpenAI's SDK of version 2, Anthropic's before 1, and Databricks' clients upon them."""
    return clients.client_python(*OLDER, alone=ALONE)


def make(there: LanguageHouse, name: str) -> None:
    """Wishes for the endpoint of this name, without waiting."""
    one = VENDORS[name]
    there.vendor.act(name, **one.act)
    served = external(f"{there.vendor.url}/{name}", one.provider, one.task, name=name, **one.config)
    there.house.api("POST", "", {"name": name, "config": {"served_entities": [served]}, "ai_gateway": one.gateway})


def stranger(there: LanguageHouse) -> str:
    made = callers.user(callers.over_http(there.house.url, TOKEN), "stranger@example.com")
    for name, level in (("talk", "CAN_QUERY"), ("tools", "CAN_VIEW")):
        endpoint = there.house.api("GET", f"/{name}")["id"]
        may = {"access_control_list": [{"user_name": made.name, "permission_level": level}]}
        granted = there.house.request("PATCH", f"/api/2.0/permissions/serving-endpoints/{endpoint}", may)
        assert granted.status == 200, granted
    return made.token


def seen(told: Mapping[str, Any]) -> Any:
    """What was seen; nothing failed."""
    assert told["failed"] == {}, "\n".join(f"{name}: {why}" for name, why in told["failed"].items())
    return told["seen"]
