"""Every config the API takes leads to an adapter that can work with it, and every adapter can be configured."""

from __future__ import annotations

from typing import Any

import pytest

from headgate.domain import external_model, external_providers
from headgate.errors import InvalidParameterValue
from headgate.providers import catalogue
from headgate.providers.port import CHAT, Credential, Request, Target

SECRET = "sk-very-secret"
AZURE = {
    "openai_api_base": "https://r.openai.azure.com",
    "openai_api_version": "2025-06-01",
    "openai_deployment_name": "d",
}
ENTRA = {
    "microsoft_entra_tenant_id": "t",
    "microsoft_entra_client_id": "c",
    "microsoft_entra_client_secret_plaintext": SECRET,
}
KEYS = {"aws_access_key_id_plaintext": "AKIDEXAMPLE", "aws_secret_access_key_plaintext": SECRET}
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "openai": ("openai", {"openai_api_key_plaintext": SECRET}),
    "azure": ("openai", {**AZURE, "openai_api_type": "azure", "openai_api_key_plaintext": SECRET}),
    "entra": ("openai", {**AZURE, "openai_api_type": "azuread", **ENTRA}),
    "anthropic": ("anthropic", {"anthropic_api_key_plaintext": SECRET}),
    "cohere": ("cohere", {"cohere_api_key_plaintext": SECRET, "cohere_api_base": "https://h"}),
    **{
        f"bedrock, {name}": ("amazon-bedrock", {"aws_region": "eu-west-1", "bedrock_provider": name.upper(), **KEYS})
        for name in external_providers.BEDROCK_PROVIDERS
    },
    "vertex": ("google-cloud-vertex-ai", {"project_id": "p", "region": "europe-west4", "private_key_plaintext": '{"client_email":"a@b"}'}),
    "ai21labs": ("ai21labs", {"ai21labs_api_key_plaintext": SECRET}),
    "databricks": ("databricks-model-serving", {"databricks_workspace_url": "https://w", "databricks_api_token_plaintext": SECRET}),
    "custom, bearer": ("custom", {"custom_provider_url": "https://h/v1", "bearer_token_auth": {"token_plaintext": SECRET}}),
    "custom, header": ("custom", {"custom_provider_url": "https://h/v1", "api_key_auth": {"key": "X-Key", "value_plaintext": SECRET}}),
}  # fmt: skip


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_from_the_api_is_one_an_adapter_works_with(name: str):
    provider, config = CONFIGS[name]
    said = {
        "name": "a-model",
        "provider": provider,
        "task": CHAT,
        external_providers.PROVIDERS[provider].config: config,
    }
    written = external_model.read(said)
    plain = {**external_model.plain(written.model, lambda _: "", lambda *_: ""), **written.plaintext}
    adapter = catalogue.provider(provider, plain)
    target = Target(provider, "a-model", CHAT, plain)
    assert CHAT in adapter.capabilities.tasks
    body = b'{"model":"e","messages":[{"role":"user","content":"Hi"}],"max_tokens":9}'
    credential = Credential("a-token", 4e9) if name in ("entra", "vertex") else None
    out = adapter.prepare(target, Request(body), credential, 1.76e9)
    assert out.url.startswith("https://") and out.method == "POST"
    assert SECRET not in out.url and SECRET.encode() not in out.body


def test_all_providers_of_the_api_have_rules_and_an_adapter_and_none_is_left_over():
    assert {provider for provider, _ in CONFIGS.values()} == set(external_providers.PROVIDERS)
    adapters = {name.partition("/")[0] for name in catalogue.PROVIDERS} - {"azure-openai"}
    assert adapters == set(external_providers.PROVIDERS)
    with pytest.raises(InvalidParameterValue, match="google-cloud-vertex-ai"):
        catalogue.provider("palm", {})
