"""One running house in front of one fake vendor process for all of these tests, with an endpoint per scene."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.scenario.house import TOKEN, until
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

    def walk(self, script: str, python: Path | str, **environ: str) -> dict[str, Any]:
        """What a client's script saw; it took all its steps."""
        environment = {
            "DATABRICKS_HOST": self.there.house.url,
            "DATABRICKS_TOKEN": TOKEN,
            "PYTHONPATH": str(WALKS),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "LANGSMITH_TRACING": "false",
            **environ,
        }
        told = clients.run_client(python, (WALKS / script).read_text(), environment).json()
        assert isinstance(told, dict)
        return told


@pytest.fixture(scope="session")
def language(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Language]:
    with language_house(tmp_path_factory.mktemp("language") / "data") as there:
        for name in VENDORS:
            make(there, name)
        for name in VENDORS:
            there.house.settled(name)
        yield Language(there)


@pytest.fixture(scope="session")
def older() -> Path:
    """OpenAI's SDK of version 2, Anthropic's before 1, and Databricks' clients upon them."""
    return clients.client_python(*OLDER, alone=ALONE)


def make(there: LanguageHouse, name: str) -> None:
    """Wishes for the endpoint of this name, without waiting."""
    one = VENDORS[name]
    there.vendor.act(name, **one.act)
    served = external(f"{there.vendor.url}/{name}", one.provider, one.task, name=name, **one.config)
    there.house.api("POST", "", {"name": name, "config": {"served_entities": [served]}})


def seen(told: Mapping[str, Any]) -> Any:
    """What was seen; nothing failed."""
    assert told["failed"] == {}, "\n".join(f"{name}: {why}" for name, why in told["failed"].items())
    return told["seen"]


def left(there: LanguageHouse, name: str) -> int:
    """Requests that went away before the vendor had answered them, once none is being answered."""
    until(lambda: there.vendor.did(name)["busy"] == 0, "the vendor has nothing to do")
    return int(there.vendor.did(name)["left"])
