"""A real house in front of the fake vendor: external endpoints made by REST, `ai_gateway` put by REST. For scenario and wire tests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.fakes.vendor import bedrock
from tests.fakes.vendor.process import VendorProcess
from tests.scenario.house import Answer, House

CHAT, COMPLETIONS, EMBEDDINGS = "llm/v1/chat", "llm/v1/completions", "llm/v1/embeddings"
LANGUAGE = {
    "HEADGATE_PROVIDERS_ALLOW_PRIVATE_ADDRESSES": "true",
    "HEADGATE_WORKERS": "2",
}
HELLO = {"messages": [{"role": "user", "content": "Hi"}]}
SAID = "Hello, wide world."
"""What the fake vendor says unless told otherwise; usage 11 and 9 tokens, 4 pieces with text."""


@dataclass(frozen=True)
class LanguageHouse:
    """A house and the vendors outside it."""

    house: House
    vendor: VendorProcess

    def entity(self, vendor: str, provider: str = "openai", task: str = CHAT, **config: Any) -> dict[str, Any]:
        """A served entity called as the vendor `vendor` is, which does as it should from now on."""
        self.vendor.act(vendor)
        return external(f"{self.vendor.url}/{vendor}", provider, task, name=vendor, **config)

    def external_endpoint(self, name: str, provider: str = "openai", task: str = CHAT, **config: Any) -> Any:
        """An endpoint of one external model, at the vendor of the same name; once it is ready."""
        return self.house.create(name, self.entity(name, provider, task, **config))

    def put_ai_gateway(self, name: str, **config: Any) -> Any:
        """Replaces an endpoint's `ai_gateway`."""
        return self.house.api("PUT", f"/{name}/ai-gateway", config)

    def ask(self, name: str, body: Any = None, **options: Any) -> Answer:
        """One request to `/serving-endpoints/<name>/invocations`."""
        return self.house.request("POST", f"/serving-endpoints/{name}/invocations", body or HELLO, **options)


@contextmanager
def language_house(data_dir: Path, **settings: str) -> Iterator[LanguageHouse]:
    """Both started; stopped at the end."""
    with VendorProcess() as vendor, House(data_dir, **{**LANGUAGE, **settings}) as house:
        yield LanguageHouse(house, vendor)


def external(base: str, provider: str = "openai", task: str = CHAT, *, name: str = "", **config: Any) -> dict[str, Any]:
    """A served entity that is an external model at `base`, with a working config of its provider; `config` changes that."""
    model = {"name": "a-model", "provider": provider, "task": task, **_config(base, provider, config)}
    return {"name": name, "external_model": model} if name else {"external_model": model}


def _config(base: str, provider: str, more: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "openai": {"openai_api_key_plaintext": "sk-plain", "openai_api_base": f"{base}/v1"},
        "anthropic": {"anthropic_api_key_plaintext": "sk-ant-plain", "anthropic_api_base": base},
        "cohere": {"cohere_api_key_plaintext": "sk-co-plain", "cohere_api_base": base},
        "ai21labs": {"ai21labs_api_key_plaintext": "sk-ai-plain", "ai21labs_api_base": f"{base}/studio/v1"},
        "databricks-model-serving": {
            "databricks_api_token_plaintext": "dapi-plain",
            "databricks_workspace_url": base,
        },
        "amazon-bedrock": {
            "aws_region": "us-east-1",
            "bedrock_provider": "anthropic",
            "aws_access_key_id_plaintext": bedrock.ACCESS_KEY,
            "aws_secret_access_key_plaintext": bedrock.SECRET_KEY,
            "aws_endpoint_url": base,
        },
        "google-cloud-vertex-ai": {
            "project_id": "our-project",
            "region": "us-central1",
            "private_key_plaintext": _service_account() if provider == "google-cloud-vertex-ai" else "",
            "google_cloud_vertex_ai_api_base": base,
            "google_cloud_vertex_ai_token_uri": f"{base}/token",
        },
        "custom": {
            "custom_provider_url": f"{base}/v1",
            "bearer_token_auth": {"token_plaintext": "custom-plain"},
        },
    }[provider]
    if provider == "openai" and more.get("openai_api_type") == "azure":
        made |= {
            "openai_api_base": base,
            "openai_api_version": "2026-01-01",
            "openai_deployment_name": "a-deployment",
        }
    key = {"custom": "custom_provider_config"}.get(provider, provider.replace("-", "_") + "_config")
    return {key: {**made, **more}}


@cache
def _service_account() -> str:
    """A service account's key file, as Google gives it."""
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    account = {
        "type": "service_account",
        "client_email": "us@our-project.iam.gserviceaccount.com",
        "private_key_id": "1",
    }
    return json.dumps({**account, "private_key": pem.decode()})
