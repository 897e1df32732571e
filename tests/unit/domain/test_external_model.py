"""External models as clients write them: what must be there, what is secret, what an answer shows."""

from __future__ import annotations

from typing import Any

import pytest

from headgate.domain import external_model
from headgate.domain.external_model import ExternalModel
from headgate.domain.secret_references import SecretReference
from headgate.errors import InvalidParameterValue

REF = "{{secrets/llm/key}}"
PEM = '{"client_email":"a@b","private_key":"-----BEGIN\\nx"}'
AZURE = {
    "openai_api_type": "azure",
    "openai_api_base": "https://r.openai.azure.com",
    "openai_api_version": "2025-06-01",
    "openai_deployment_name": "d",
}
ENTRA = {"microsoft_entra_tenant_id": "t", "microsoft_entra_client_id": "c", "microsoft_entra_client_secret": REF}
BEDROCK = {"aws_region": "eu-west-1", "bedrock_provider": "Anthropic"}
CUSTOM = {"custom_provider_url": "https://h/v1"}

FINE: list[tuple[str, str, dict[str, Any]]] = [
    ("openai", "openai_config", {"openai_api_key": REF}),
    ("openai", "openai_config", {"openai_api_key": REF, "openai_api_base": "https://h/v1", "openai_organization": "o"}),
    ("openai", "openai_config", {"openai_api_key": REF, "openai_api_type": "openai"}),
    ("openai", "openai_config", {**AZURE, "openai_api_key": REF}),
    ("openai", "openai_config", {**AZURE, "openai_api_type": "azuread", **ENTRA}),
    ("openai", "openai_config", {**AZURE, "openai_api_type": "AzureAD", "openai_api_key": REF}),
    ("anthropic", "anthropic_config", {"anthropic_api_key": REF}),
    ("cohere", "cohere_config", {"cohere_api_key": REF, "cohere_api_base": "https://h"}),
    ("amazon-bedrock", "amazon_bedrock_config", {**BEDROCK, "aws_access_key_id": REF, "aws_secret_access_key": REF}),
    ("amazon-bedrock", "amazon_bedrock_config", {**BEDROCK, "bedrock_provider": "AI21Labs", "instance_profile_arn": "arn:aws:iam::1:x"}),
    ("google-cloud-vertex-ai", "google_cloud_vertex_ai_config", {"project_id": "p", "region": "europe-west4", "private_key": REF}),
    ("google-cloud-vertex-ai", "google_cloud_vertex_ai_config", {"project_id": "p", "region": "r", "private_key": REF,
        "google_cloud_vertex_ai_api_base": "https://vertex.p.googleapis.com", "google_cloud_vertex_ai_token_uri": "https://t/token"}),
    ("ai21labs", "ai21labs_config", {"ai21labs_api_key": REF}),
    ("ai21labs", "ai21labs_config", {"ai21labs_api_key": REF, "ai21labs_api_base": "https://h/v1"}),
    ("databricks-model-serving", "databricks_model_serving_config", {"databricks_workspace_url": "https://w", "databricks_api_token": REF}),
    ("custom", "custom_provider_config", {**CUSTOM, "bearer_token_auth": {"token": REF}}),
    ("custom", "custom_provider_config", {**CUSTOM, "api_key_auth": {"key": "X-Key", "value": REF}}),
]  # fmt: skip


def external(provider: str, config_name: str, config: object, **more: Any) -> dict[str, Any]:
    return {"name": "gpt-4.1", "provider": provider, "task": "llm/v1/chat", config_name: config, **more}


def in_plain_text(config: dict[str, Any]) -> dict[str, Any]:
    """The same with each secret given as it is."""
    plain: dict[str, Any] = {}
    for key, value in config.items():
        if value == REF:
            plain[f"{key}_plaintext"] = "sk-very-secret"
        else:
            plain[key] = in_plain_text(value) if isinstance(value, dict) else value
    return plain


def without_secrets(config: dict[str, Any]) -> dict[str, Any]:
    return {
        key: without_secrets(value) if isinstance(value, dict) else value
        for key, value in config.items()
        if value != REF
    }


def sealed(said: dict[str, Any], before: ExternalModel | None = None) -> ExternalModel:
    """What the API keeps of it."""
    written = external_model.read(said, before)
    model = written.model
    own = {key: f"sealed:{value}" for key, value in written.plaintext.items()}
    return ExternalModel(
        model.name, model.provider, model.task, model.fields, model.references, {**model.sealed, **own}
    )


@pytest.mark.parametrize(("provider", "config_name", "config"), FINE)
def test_references_are_shown_as_they_were_written(provider: str, config_name: str, config: dict[str, Any]):
    said = external(provider, config_name, config)
    written = external_model.read(said)
    assert external_model.shown(written.model) == said
    assert not written.plaintext
    assert set(external_model.references(written.model)) <= {SecretReference("llm", "key")}
    plain = external_model.plain(written.model, lambda _: "sk-1", lambda *_: "")
    assert REF not in plain.values() and ("sk-1" in plain.values() or provider == "amazon-bedrock")


@pytest.mark.parametrize(("provider", "config_name", "config"), FINE)
def test_plain_text_is_kept_and_shown_nowhere(provider: str, config_name: str, config: dict[str, Any]):
    written = external_model.read(external(provider, config_name, in_plain_text(config)))
    model = sealed(external(provider, config_name, in_plain_text(config)))
    shown = external_model.shown(model)
    assert shown == external(provider, config_name, without_secrets(config))
    for place in (repr(written), repr(model), repr(shown)):
        assert "very-secret" not in place and "plaintext" not in repr(shown)
    opened = external_model.plain(model, lambda _: "", lambda key, text: text.removeprefix("sealed:"))
    assert set(opened) == {*model.fields, *model.sealed}
    if model.sealed:
        assert "sk-very-secret" in opened.values()


@pytest.mark.parametrize(("provider", "config_name", "config"), FINE)
def test_an_answer_that_is_sent_back_keeps_its_secrets(provider: str, config_name: str, config: dict[str, Any]):
    before = sealed(external(provider, config_name, in_plain_text(config)))
    assert sealed(external_model.shown(before), before) == before


@pytest.mark.parametrize(
    "change", [{"openai_api_base": "https://evil.example.com/v1"}, {"openai_organization": "other"}]
)
def test_a_secret_does_not_follow_to_another_address(change: dict[str, str]):
    before = sealed(external("openai", "openai_config", {"openai_api_key_plaintext": "sk-very-secret"}))
    with pytest.raises(InvalidParameterValue, match="openai_api_key is missing"):
        external_model.read(external("openai", "openai_config", change), before)
    renamed = external_model.read({**external("openai", "openai_config", {}), "name": "gpt-5"}, before)
    assert renamed.model.sealed == before.sealed


def test_a_new_secret_takes_the_place_of_the_old():
    before = sealed(external("openai", "openai_config", {"openai_api_key_plaintext": "old"}))
    assert sealed(external("openai", "openai_config", {"openai_api_key_plaintext": "new"}), before).sealed == {
        "openai_api_key": "sealed:new"
    }
    by_reference = sealed(external("openai", "openai_config", {"openai_api_key": REF}), before)
    assert not by_reference.sealed and by_reference.references == {"openai_api_key": REF}


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("name is missing", {"provider": "openai", "task": "llm/v1/chat", "openai_config": {"openai_api_key": REF}}),
    ("provider is missing", {"name": "m", "task": "llm/v1/chat"}),
    ("task is missing", {"name": "m", "provider": "openai"}),
    ("task 'chat' is unknown", {**external("openai", "openai_config", {"openai_api_key": REF}), "task": "chat"}),
    ("provider 'acme' is unknown", external("acme", "acme_config", {})),
    ("google-cloud-vertex-ai", external("palm", "palm_config", {"palm_api_key": REF})),
    ("openai_config is missing", external("openai", "other", {})),
    ("takes openai_config, not anthropic_config", external("openai", "openai_config", {"openai_api_key": REF}, anthropic_config={"x": "y"})),
    ("openai_config is missing", external("openai", "openai_config", "text")),
    ("openai_api_key is missing .or openai_api_key_plaintext", external("openai", "openai_config", {})),
    ("not both", external("openai", "openai_config", {"openai_api_key": REF, "openai_api_key_plaintext": "sk-very-secret"})),
    ("openai_api_key_plaintext", external("openai", "openai_config", {"openai_api_key": "sk-very-secret"})),
    ("openai_api_key_plaintext", external("openai", "openai_config", {"openai_api_key": "Bearer {{secrets/a/b}}"})),
    ("openai_api_key_plaintext", external("openai", "openai_config", {"openai_api_key": "{{secrets/a}}"})),
    ("openai_api_key_plaintext", external("openai", "openai_config", {"openai_api_key": "{{secrets/a/b}}{{secrets/a/c}}"})),
    ("must be a text", external("openai", "openai_config", {"openai_api_key": 7})),
    ("must be a text", external("openai", "openai_config", {"openai_api_key_plaintext": "a\r\nx: y"})),
    ("no header can carry", external("openai", "openai_config", {"openai_api_key_plaintext": "ключ"})),
    ("openai_api_type 'gcp' is unknown", external("openai", "openai_config", {"openai_api_key": REF, "openai_api_type": "gcp"})),
    ("set openai_api_type to azure", external("openai", "openai_config", {"openai_api_key": REF, "openai_deployment_name": "d"})),
    ("openai_deployment_name is missing", external("openai", "openai_config", {"openai_api_type": "azure", "openai_api_key": REF, "openai_api_base": "https://h", "openai_api_version": "v"})),
    ("openai_api_key is missing", external("openai", "openai_config", AZURE)),
    ("microsoft_entra_client_secret is missing", external("openai", "openai_config", {**AZURE, "openai_api_type": "azuread", "microsoft_entra_tenant_id": "t", "microsoft_entra_client_id": "c"})),
    ("not both", external("openai", "openai_config", {**AZURE, "openai_api_type": "azuread", **ENTRA, "openai_api_key": REF})),
    ("bedrock_provider 'mistral' is unknown", external("amazon-bedrock", "amazon_bedrock_config", {**BEDROCK, "bedrock_provider": "mistral", "instance_profile_arn": "a"})),
    ("needs one of", external("amazon-bedrock", "amazon_bedrock_config", BEDROCK)),
    ("needs one of", external("amazon-bedrock", "amazon_bedrock_config", {**BEDROCK, "instance_profile_arn": "a", "aws_access_key_id": REF, "aws_secret_access_key": REF})),
    ("aws_secret_access_key is missing", external("amazon-bedrock", "amazon_bedrock_config", {**BEDROCK, "aws_access_key_id": REF})),
    ("aws_region", external("amazon-bedrock", "amazon_bedrock_config", {**BEDROCK, "aws_region": "x@evil.com/", "instance_profile_arn": "a"})),
    ("no service credentials", external("amazon-bedrock", "amazon_bedrock_config", {**BEDROCK, "uc_service_credential_name": "a"})),
    ("region has characters", external("google-cloud-vertex-ai", "google_cloud_vertex_ai_config", {"project_id": "p", "region": "evil.com/", "private_key": REF})),
    ("custom_provider_url is missing", external("custom", "custom_provider_config", {"bearer_token_auth": {"token": REF}})),
    ("needs one of", external("custom", "custom_provider_config", CUSTOM)),
    ("needs one of", external("custom", "custom_provider_config", {**CUSTOM, "bearer_token_auth": {"token": REF}, "api_key_auth": {"key": "a", "value": REF}})),
    ("must be an object", external("custom", "custom_provider_config", {**CUSTOM, "bearer_token_auth": "sk-very-secret"})),
    ("name of a header", external("custom", "custom_provider_config", {**CUSTOM, "api_key_auth": {"key": "Host", "value": REF}})),
    ("name of a header", external("custom", "custom_provider_config", {**CUSTOM, "api_key_auth": {"key": "a b", "value": REF}})),
    ("api_key_auth.value is missing", external("custom", "custom_provider_config", {**CUSTOM, "api_key_auth": {"key": "a"}})),
    ("not a URL", external("ai21labs", "ai21labs_config", {"ai21labs_api_key": REF, "ai21labs_api_base": "gopher://h"})),
    ("not a URL", external("google-cloud-vertex-ai", "google_cloud_vertex_ai_config", {"project_id": "p", "region": "r", "private_key": REF, "google_cloud_vertex_ai_token_uri": "t"})),
    ("more than 255 characters", {**external("openai", "openai_config", {"openai_api_key": REF}), "name": "m" * 256}),
    ("timeouts must be an object", external("openai", "openai_config", {"openai_api_key": REF}, timeouts=5)),
    ("timeouts.first_byte_s must be a number", external("openai", "openai_config", {"openai_api_key": REF}, timeouts={"first_byte_s": "5"})),
    ("timeouts.first_byte_s must be a number", external("openai", "openai_config", {"openai_api_key": REF}, timeouts={"first_byte_s": True})),
    ("timeouts.total_s must be a number", external("openai", "openai_config", {"openai_api_key": REF}, timeouts={"total_s": 3601})),
    ("timeouts.total_s must be a number", external("openai", "openai_config", {"openai_api_key": REF}, timeouts={"total_s": float("nan")})),
    ("not a URL", external("custom", "custom_provider_config", {"custom_provider_url": "file:///etc/passwd", "bearer_token_auth": {"token": REF}})),
]  # fmt: skip


@pytest.mark.parametrize(
    ("said_what", "said"), WRONG, ids=[f"{number}: {what}" for number, (what, _) in enumerate(WRONG)]
)
def test_what_is_wrong_is_named_and_no_secret_quoted(said_what: str, said: dict[str, Any]):
    with pytest.raises(InvalidParameterValue, match=said_what) as raised:
        external_model.read(said)
    assert "very-secret" not in raised.value.message


def test_empty_and_null_fields_are_absent():
    model = external_model.read(
        external("openai", "openai_config", {"openai_api_key": REF, "openai_api_base": "", "openai_organization": None})
    ).model
    assert external_model.shown(model)["openai_config"] == {"openai_api_key": REF}
    assert external_model.urls(model) == {}


def test_a_service_account_key_may_have_lines_and_a_key_may_end_in_one():
    vertex = {"project_id": "p", "region": "r", "private_key_plaintext": PEM + "\n"}
    written = external_model.read(external("google-cloud-vertex-ai", "google_cloud_vertex_ai_config", vertex))
    assert written.plaintext == {"private_key": PEM}
    model = external_model.read(external("openai", "openai_config", {"openai_api_key": REF})).model
    assert external_model.plain(model, lambda _: " sk-1\n", lambda *_: "")["openai_api_key"] == "sk-1"
    with pytest.raises(InvalidParameterValue, match="openai_api_key"):
        external_model.plain(model, lambda _: "a\nb", lambda *_: "")


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-4.1", "gpt-4-1"),
        ("anthropic.claude-v2:1", "anthropic-claude-v2-1"),
        ("org/m", "org-m"),
        ("a" * 80, "a" * 63),
    ],
)
def test_the_name_of_an_entity(model: str, name: str):
    assert external_model.default_name(model) == name


def test_external_models_stand_alone_and_together():
    chat = external_model.read(external("openai", "openai_config", {"openai_api_key": REF})).model
    other = external_model.read(
        {**external("openai", "openai_config", {"openai_api_key": REF}), "task": "llm/v1/embeddings"}
    ).model
    external_model.check_together([chat, chat])
    external_model.check_together([None, None])
    with pytest.raises(InvalidParameterValue, match="not both"):
        external_model.check_together([chat, None])
    with pytest.raises(InvalidParameterValue, match="same task"):
        external_model.check_together([chat, other])
    external_model.check_alone({"name": "x", "scale_to_zero_enabled": False, "entity_name": None})
    for field in ("entity_name", "workload_size", "scale_to_zero_enabled", "provisioned_model_units"):
        with pytest.raises(InvalidParameterValue, match=field):
            external_model.check_alone({field: True})
    external_model.check_same_kind(True, True)
    with pytest.raises(InvalidParameterValue, match="cannot change"):
        external_model.check_same_kind(True, False)


def test_timeouts_are_shown_as_far_as_they_were_written_and_may_change_beside_a_kept_key():
    plain = {"openai_api_key_plaintext": "sk-very-secret"}
    before = sealed(external("openai", "openai_config", plain))
    assert (before.first_byte_s, before.total_s) == (None, None)
    assert "timeouts" not in external_model.shown(before)
    hasty = external_model.read({**external_model.shown(before), "timeouts": {"first_byte_s": 2}}, before).model
    assert (hasty.first_byte_s, hasty.total_s, dict(hasty.sealed)) == (2.0, None, dict(before.sealed))
    assert external_model.shown(hasty)["timeouts"] == {"first_byte_s": 2.0}
    assert "timeouts" not in external_model.shown(
        external_model.read({**external_model.shown(hasty), "timeouts": {}}, hasty).model
    )
