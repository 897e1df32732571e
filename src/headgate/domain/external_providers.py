"""The providers of external models, as data: what the config of each is called and holds, what is secret, what must come together. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from headgate.errors import InvalidParameterValue

Fields = Mapping[str, str]

BEDROCK_PROVIDERS = ("anthropic", "cohere", "ai21labs", "amazon")
AZURE_TYPES = ("azure", "azuread")
_LABEL = re.compile(r"[A-Za-z0-9_-]{1,100}")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_FRAMING_HEADERS = frozenset(
    [
        "host",
        "content-length",
        "content-type",
        "transfer-encoding",
        "connection",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "keep-alive",
        "content-encoding",
    ]
)


def _anything(fields: Fields, secrets: AbstractSet[str]) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Rules:
    """What the config of a provider may and must hold. A nested field's name is dotted."""

    config: str
    plain: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    """Of `plain`: addresses."""
    label_like: tuple[str, ...] = ()
    """Of `plain`: parts of the vendor's host name or path, so nothing but letters, digits, dashes and underscores."""
    more: Callable[[Fields, AbstractSet[str]], None] = field(default=_anything)
    """What cannot be said by `required`: gets the plain fields and which secrets were given."""

    def check(self, fields: Fields, secrets: AbstractSet[str]) -> None:
        """Raises InvalidParameterValue, which names the field."""
        for name in self.required:
            if name not in fields and name not in secrets:
                raise InvalidParameterValue(f"{self.config}.{name} is missing{_or_plaintext(name, self.secrets)}.")
        for name in self.label_like:
            if not _LABEL.fullmatch(fields.get(name, "x")):
                raise InvalidParameterValue(
                    f"{self.config}.{name} has characters other than letters, digits and dashes."
                )
        self.more(fields, secrets)


def rules(provider: str) -> Rules:
    """Raises InvalidParameterValue for one that is unknown, or known and gone."""
    if provider == "palm":
        raise InvalidParameterValue(
            "The provider palm cannot be served: Google has shut the PaLM API down. "
            "Use google-cloud-vertex-ai with a Gemini model, or custom with the address of an OpenAI-compatible server."
        )
    found = PROVIDERS.get(provider)
    if found is None:
        raise InvalidParameterValue(
            f"external_model.provider {provider!r} is unknown; use one of {', '.join(sorted(PROVIDERS))}."
        )
    return found


def _or_plaintext(name: str, secrets: tuple[str, ...]) -> str:
    return f" (or {name}_plaintext)" if name in secrets else ""


def _openai(fields: Fields, secrets: AbstractSet[str]) -> None:
    kind = fields.get("openai_api_type", "openai").lower()
    if kind not in ("openai", *AZURE_TYPES):
        raise InvalidParameterValue(
            f"openai_config.openai_api_type {fields['openai_api_type']!r} is unknown; use openai, azure or azuread."
        )
    if kind == "openai":
        _need("openai_config", fields, secrets, ("openai_api_key",))
        azures = [
            name
            for name in ("openai_deployment_name", "microsoft_entra_tenant_id", "microsoft_entra_client_id")
            if name in fields
        ]
        if azures or "microsoft_entra_client_secret" in secrets:
            raise InvalidParameterValue(
                f"openai_config.{(azures or ['microsoft_entra_client_secret'])[0]} is for Azure: "
                "set openai_api_type to azure (with a key) or azuread (with Microsoft Entra)."
            )
        return
    _need("openai_config", fields, secrets, ("openai_api_base", "openai_api_version", "openai_deployment_name"))
    if kind == "azure" or not _entra(fields, secrets):
        _need("openai_config", fields, secrets, ("openai_api_key",))


def _entra(fields: Fields, secrets: AbstractSet[str]) -> bool:
    """Whether an application of Microsoft Entra is named, completely. Raises InvalidParameterValue when only in part."""
    names = ("microsoft_entra_tenant_id", "microsoft_entra_client_id", "microsoft_entra_client_secret")
    if not any(name in fields or name in secrets for name in names):
        return False
    _need("openai_config", fields, secrets, names)
    if "openai_api_key" in secrets:
        raise InvalidParameterValue(
            "openai_config: give either openai_api_key or the microsoft_entra_ fields, not both."
        )
    return True


def _bedrock(fields: Fields, secrets: AbstractSet[str]) -> None:
    if fields["bedrock_provider"].lower() not in BEDROCK_PROVIDERS:
        raise InvalidParameterValue(
            f"amazon_bedrock_config.bedrock_provider {fields['bedrock_provider']!r} is unknown; use one of {', '.join(BEDROCK_PROVIDERS)}."
        )
    keys = [name for name in ("aws_access_key_id", "aws_secret_access_key") if name in secrets]
    ways = [name for name in ("instance_profile_arn", "uc_service_credential_name") if name in fields]
    if len(ways) + bool(keys) != 1:
        raise InvalidParameterValue(
            "amazon_bedrock_config needs one of: aws_access_key_id and aws_secret_access_key, instance_profile_arn, "
            "or uc_service_credential_name."
        )
    if keys:
        _need("amazon_bedrock_config", fields, secrets, ("aws_access_key_id", "aws_secret_access_key"))
    if "uc_service_credential_name" in fields:
        raise InvalidParameterValue(
            "amazon_bedrock_config.uc_service_credential_name: this server has no service credentials of Unity Catalog. "
            "Use access keys, or instance_profile_arn."
        )


def _custom(fields: Fields, secrets: AbstractSet[str]) -> None:
    bearer = "bearer_token_auth.token" in secrets
    header = "api_key_auth.key" in fields or "api_key_auth.value" in secrets
    if bearer == header:
        raise InvalidParameterValue(
            "custom_provider_config needs one of bearer_token_auth {token} and api_key_auth {key, value}."
        )
    if header:
        _need("custom_provider_config", fields, secrets, ("api_key_auth.key", "api_key_auth.value"))
        name = fields["api_key_auth.key"]
        if not _HEADER.fullmatch(name) or name.lower() in _FRAMING_HEADERS:
            raise InvalidParameterValue(
                f"custom_provider_config.api_key_auth.key {name!r} cannot be the name of a header that holds a key."
            )


def _need(config: str, fields: Fields, secrets: AbstractSet[str], names: tuple[str, ...]) -> None:
    Rules(config, secrets=names, required=names).check(fields, secrets)


PROVIDERS: dict[str, Rules] = {
    "openai": Rules(
        "openai_config",
        plain=(
            "openai_api_type", "openai_api_base", "openai_api_version", "openai_deployment_name", "openai_organization",
            "microsoft_entra_tenant_id", "microsoft_entra_client_id",
        ),
        secrets=("openai_api_key", "microsoft_entra_client_secret"),
        urls=("openai_api_base",),
        more=_openai,
    ),
    "anthropic": Rules(
        "anthropic_config",
        plain=("anthropic_api_base",),  # ours, not in Databricks' API: a proxy, or a server that speaks Anthropic's dialect
        secrets=("anthropic_api_key",),
        required=("anthropic_api_key",),
        urls=("anthropic_api_base",),
    ),
    "cohere": Rules(
        "cohere_config",
        plain=("cohere_api_base",),
        secrets=("cohere_api_key",),
        required=("cohere_api_key",),
        urls=("cohere_api_base",),
    ),
    "amazon-bedrock": Rules(
        "amazon_bedrock_config",
        plain=(
            "aws_region",
            "bedrock_provider",
            "instance_profile_arn",
            "uc_service_credential_name",
            "aws_endpoint_url",  # ours, not in Databricks' API: a private endpoint (AWS PrivateLink)
        ),
        secrets=("aws_access_key_id", "aws_secret_access_key"),
        required=("aws_region", "bedrock_provider"),
        urls=("aws_endpoint_url",),
        label_like=("aws_region",),
        more=_bedrock,
    ),
    "google-cloud-vertex-ai": Rules(
        "google_cloud_vertex_ai_config",
        plain=(
            "project_id",
            "region",
            "google_cloud_vertex_ai_api_base",  # ours, not in Databricks' API: a private endpoint
            "google_cloud_vertex_ai_token_uri",  # ours as well: who takes the service account's signature for a token
        ),
        secrets=("private_key",),
        required=("project_id", "region", "private_key"),
        urls=("google_cloud_vertex_ai_api_base", "google_cloud_vertex_ai_token_uri"),
        label_like=("region",),
    ),
    "ai21labs": Rules(
        "ai21labs_config",
        plain=("ai21labs_api_base",),  # ours, not in Databricks' API
        secrets=("ai21labs_api_key",),
        required=("ai21labs_api_key",),
        urls=("ai21labs_api_base",),
    ),
    "databricks-model-serving": Rules(
        "databricks_model_serving_config",
        plain=("databricks_workspace_url",),
        secrets=("databricks_api_token",),
        required=("databricks_workspace_url", "databricks_api_token"),
        urls=("databricks_workspace_url",),
    ),
    "custom": Rules(
        "custom_provider_config",
        plain=("custom_provider_url", "api_key_auth.key"),
        secrets=("bearer_token_auth.token", "api_key_auth.value"),
        required=("custom_provider_url",),
        urls=("custom_provider_url",),
        more=_custom,
    ),
}  # fmt: skip
