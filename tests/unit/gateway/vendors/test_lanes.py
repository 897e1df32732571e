"""On whose account requests to vendors go."""

from __future__ import annotations

from headgate.domain.external_model import ExternalModel
from headgate.gateway.vendors.vendor import lane_name


def test_a_provider_elsewhere_holds_up_nobody_at_the_provider_itself() -> None:
    def lane(**fields: str) -> str:
        return lane_name(ExternalModel("gpt", "openai", "llm/v1/chat", fields))

    assert lane() == lane(openai_organization="ours") == "openai"
    assert lane(openai_api_base="https://one.example.com/v1") == "openai one.example.com"
    assert lane(openai_api_base="https://one.example.com:8443/v2") == "openai one.example.com"
    assert lane(openai_api_base="https://two.example.com/v1") == "openai two.example.com"
