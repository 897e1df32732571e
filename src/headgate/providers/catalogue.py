"""Which vendors there are: one row each, name of the API -> adapter. A new vendor is one file, one row here, one in the conformance suite."""

from __future__ import annotations

from collections.abc import Mapping

from headgate.domain import external_providers
from headgate.errors import InvalidParameterValue
from headgate.providers.ai21 import AI21
from headgate.providers.anthropic.vendor import Anthropic
from headgate.providers.azure import Azure
from headgate.providers.bedrock.families import FAMILIES
from headgate.providers.bedrock.vendor import Bedrock
from headgate.providers.cohere.vendor import Cohere
from headgate.providers.custom import Custom
from headgate.providers.databricks import Databricks
from headgate.providers.openai import OpenAI
from headgate.providers.port import Provider
from headgate.providers.vertex.vendor import Vertex

_VENDORS: tuple[Provider, ...] = (
    OpenAI(),
    Azure(),
    Custom(),
    Databricks(),
    Anthropic(),
    *(Bedrock(family) for family in FAMILIES),
    Vertex(),
    Cohere(),
    AI21(),
)
PROVIDERS = {vendor.name: vendor for vendor in _VENDORS}
"""By the name of the API; `azure-openai` stands for `openai` with an `openai_api_type` of `azure` or `azuread`, `amazon-bedrock/…` for one
`bedrock_provider`."""

AZURE_TYPES = ("azure", "azuread")


def provider(name: str, config: Mapping[str, str]) -> Provider:
    """The adapter for an entity's provider and its config (see `Target.config`). Raises InvalidParameterValue for one that is unknown."""
    if name == "openai" and config.get("openai_api_type", "").lower() in AZURE_TYPES:
        name = "azure-openai"
    if name == "amazon-bedrock":
        name = f"amazon-bedrock/{config.get('bedrock_provider', '').lower()}"
    found = PROVIDERS.get(name)
    if found is None:
        external_providers.rules(name)  # which says of one that is gone what to use instead
        raise InvalidParameterValue(f"provider {name!r} is unknown; use one of {', '.join(sorted(PROVIDERS))}.")
    return found
