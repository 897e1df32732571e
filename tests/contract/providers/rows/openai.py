"""The vendors that speak OpenAI's dialect."""

from __future__ import annotations

from tests.contract.providers.rows import Row
from tests.fakes.vendor.openai import OpenAI

from headgate.providers import catalogue
from headgate.providers.port import Credential, Target

AZURE = {
    "openai_api_type": "azure",
    "openai_api_key": "sk-secret",
    "openai_api_base": "https://r.openai.azure.com",
    "openai_api_version": "2025-06-01",
    "openai_deployment_name": "our-gpt",
}
ENTRA = {
    **{key: value for key, value in AZURE.items() if key != "openai_api_key"},
    "openai_api_type": "azuread",
    "microsoft_entra_tenant_id": "t",
    "microsoft_entra_client_id": "c",
    "microsoft_entra_client_secret": "sk-secret",
}
CUSTOM = {"custom_provider_url": "https://llm.example.com/v1"}
DATABRICKS = {"databricks_workspace_url": "https://w.cloud.databricks.com", "databricks_api_token": "sk-secret"}
EXTRAS = frozenset({"extra_params", "usage_context", "client_request_id", "top_k"})


def _row(
    name: str, provider: str, config: dict[str, str], dialect: OpenAI, credential: Credential | None = None
) -> Row:
    return Row(
        name,
        catalogue.provider(provider, config),
        dialect,
        lambda task: Target(provider, "gpt-x", task, config),
        credential,
        shows_reasoning=False,
        tells=frozenset({"cached_tokens", "reasoning_tokens"}),
    )  # fmt: skip


ROWS = [
    _row("openai", "openai", {"openai_api_key": "sk-secret"}, OpenAI()),
    _row("azure", "openai", AZURE, OpenAI("azure-openai", "api-key")),
    _row("entra", "openai", ENTRA, OpenAI("azure-openai"), Credential("sk-secret", 4e9)),
    _row("custom, bearer", "custom", {**CUSTOM, "bearer_token_auth.token": "sk-secret"}, OpenAI("custom")),
    _row(
        "custom, header",
        "custom",
        {**CUSTOM, "api_key_auth.key": "X-Key", "api_key_auth.value": "sk-secret"},
        OpenAI("custom", "x-key"),
    ),
    _row(
        "databricks",
        "databricks-model-serving",
        DATABRICKS,
        OpenAI("databricks", also_knows=EXTRAS, usage_everywhere=True),
    ),
]
