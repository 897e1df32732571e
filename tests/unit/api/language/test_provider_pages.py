"""The configs that the pages of vendors show are taken as they stand."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import databricks.sdk
import mlflow.deployments
import pytest
from databricks.sdk.service.serving import OpenAiConfig
from tests.fakes.api_house import ENDPOINTS, ApiHouse

DOCS = Path(__file__).parents[4] / "docs"
PAGES = [*sorted((DOCS / "providers").glob("*.md")), DOCS / "external-models.md"]
BLOCKS = [
    pytest.param(text, id=f"{page.stem} {number}")
    for page in PAGES
    for number, text in enumerate(re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL))
]
PRIVATE_KEY = '{"client_email": "a@b", "private_key": "-----BEGIN PRIVATE KEY-----"}'


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiHouse]:
    house = ApiHouse(tmp_path_factory.mktemp("api"), addresses=lambda url: [])
    pages = "".join(page.read_text() for page in PAGES)
    references = sorted(set(re.findall(r"{{secrets/([\w.-]+)/([\w.-]+)}}", pages)))
    for scope in sorted({scope for scope, _ in references}):
        house.as_admin("POST", "/api/2.0/secrets/scopes/create", {"scope": scope})
    for scope, key in references:
        value = PRIVATE_KEY if scope == "google" else "sk-1"
        house.as_admin("POST", "/api/2.0/secrets/put", {"scope": scope, "key": key, "string_value": value})
    yield house
    house.close()


def shown(text: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The bodies that a block would send, or makes, as the API gets them."""
    sent: list[dict[str, Any]] = []

    def create(name: str, config: Any, **_: Any) -> None:
        sent.append({"name": name, "config": config.as_dict()})

    endpoints = SimpleNamespace(create=create, create_and_wait=create)
    nothing = SimpleNamespace(create_scope=lambda *_: None, put_secret=lambda *_, **__: None)
    client = SimpleNamespace(serving_endpoints=endpoints, secrets=nothing)
    deployments = SimpleNamespace(create_endpoint=lambda config: sent.append(config))
    monkeypatch.setattr(databricks.sdk, "WorkspaceClient", lambda: client)
    monkeypatch.setattr(mlflow.deployments, "get_deploy_client", lambda _: deployments)
    made: dict[str, Any] = {}
    exec(text, made)
    if isinstance(made.get("config"), OpenAiConfig):
        model = {
            "name": "m",
            "provider": "openai",
            "task": "llm/v1/chat",
            "openai_config": made["config"].as_dict(),
        }
        return {"name": "x", "config": {"served_entities": [{"external_model": model}]}}
    return sent[0] if sent else made["endpoint"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("text", BLOCKS)
def test_a_shown_config_is_taken(api: ApiHouse, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    body = shown(text, monkeypatch)
    answer = api.request("POST", ENDPOINTS, {**body, "name": f"shown-{zlib.crc32(text.encode())}"})
    assert answer.status == 200, answer.body
