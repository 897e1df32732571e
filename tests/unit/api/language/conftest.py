"""An application that knows a few made-up hosts, and has a secret."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.fakes.api_house import ENDPOINTS, ApiHouse

from headgate.domain import ai_gateway

KEY = "{{secrets/llm/openai}}"
PLAIN = "sk-plain-and-very-secret"
HOSTS = {
    "api.openai.com": ["8.8.8.8"],
    "inside.example": ["10.0.0.5"],
    "metadata.example": ["169.254.169.254"],
}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiHouse]:
    house = ApiHouse(
        tmp_path_factory.mktemp("api"),
        addresses=lambda url: HOSTS.get(urlsplit(url).hostname or "", []),
        missing={ai_gateway.SAFETY: "name a judge in guardrails.judge_endpoint."},
    )
    house.request("POST", "/api/2.0/secrets/scopes/create", {"scope": "llm"})
    house.request("POST", "/api/2.0/secrets/put", {"scope": "llm", "key": "openai", "string_value": "sk-1"})
    yield house
    house.close()


def external(config: Any = None, **model: Any) -> dict[str, Any]:
    """A served entity with an external model of OpenAI's."""
    openai = {"openai_api_key": KEY} if config is None else config
    said = {"name": "gpt-4.1", "provider": "openai", "task": "llm/v1/chat", "openai_config": openai}
    return {"external_model": {**said, **model}}


def create(api: ApiHouse, name: str, *entities: dict[str, Any], **more: Any) -> Any:
    """Deployed as control would; its answer to GET."""
    config = {"served_entities": list(entities or [external()]), **more.pop("config", {})}
    created = api.request("POST", ENDPOINTS, {"name": name, "config": config, **more})
    assert created.status == 200, created.body
    api.activate(name)
    return api.get(name).body
