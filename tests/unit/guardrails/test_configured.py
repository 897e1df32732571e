"""What the settings give guardrails to work with."""

from __future__ import annotations

import pytest

from headgate.domain import ai_gateway
from headgate.domain.ai_gateway import Surroundings
from headgate.errors import InvalidParameterValue
from headgate.guardrails.configured import guardrails_missing, refusal
from headgate.language_settings import GuardrailSettings


@pytest.mark.parametrize(
    ("side", "setting"), [({"safety": True}, "judge_endpoint"), ({"valid_topics": ["a"]}, "embeddings_endpoint")]
)
def test_what_needs_a_model_that_no_setting_names_is_refused_with_advice(side: dict[str, object], setting: str) -> None:
    config = ai_gateway.parse({"guardrails": {"input": side}})
    lacking = Surroundings(ai_gateway.EXTERNAL_MODEL, "llm/v1/chat", guardrails_missing(GuardrailSettings()))
    with pytest.raises(InvalidParameterValue, match=setting):
        ai_gateway.check(config, lacking)
    named = guardrails_missing(GuardrailSettings(judge_endpoint="judge", embeddings_endpoint="vectors"))
    ai_gateway.check(config, Surroundings(ai_gateway.EXTERNAL_MODEL, "llm/v1/chat", named))


@pytest.mark.parametrize("wrong", ["pii_engine", "on_failure", "judge_style"])
def test_a_setting_that_means_nothing_is_refused(wrong: str) -> None:
    assert refusal(GuardrailSettings()) is None
    assert wrong in (refusal(GuardrailSettings(**{wrong: "closd"})) or "")
