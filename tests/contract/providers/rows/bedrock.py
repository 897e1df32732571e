"""Amazon Bedrock, by maker of the models."""

from __future__ import annotations

from tests.contract.providers.rows import Row
from tests.fakes.vendor.bedrock import ACCESS_KEY, SECRET_KEY, Bedrock

from headgate.providers import catalogue
from headgate.providers.port import EMBEDDINGS, Target

CHAT_MODELS = {
    "anthropic": "eu.anthropic.claude-x-20260101-v1:0",
    "amazon": "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.amazon.nova-pro-v1:0",
    "cohere": "cohere.command-r-plus-v1:0",
    "ai21labs": "ai21.jamba-1-5-large-v1:0",
}
EMBEDDING_MODELS = {"amazon": "amazon.titan-embed-text-v2:0", "cohere": "cohere.embed-multilingual-v3"}
UNSAYABLE = {"amazon": frozenset({"embeddings"}), "cohere": frozenset({"embedding", "embeddings"})}
"""Titan embeds one text at a time; Cohere's models on Bedrock do not say what was used. Both have tests of their own."""


def _row(family: str) -> Row:
    config = {
        "aws_region": "eu-west-1",
        "bedrock_provider": family.upper(),
        "aws_access_key_id": ACCESS_KEY,
        "aws_secret_access_key": SECRET_KEY,
    }

    def target(task: str) -> Target:
        model = EMBEDDING_MODELS.get(family, "-") if task == EMBEDDINGS else CHAT_MODELS[family]
        return Target("amazon-bedrock", model, task, config)

    return Row(
        f"bedrock, {family}",
        catalogue.provider("amazon-bedrock", config),
        Bedrock(),
        target,
        extra={"performanceConfig": {"latency": "optimized"}},
        tells=frozenset({"cached_tokens", "cache_creation_tokens"}),
        unsayable=UNSAYABLE.get(family, frozenset()),
    )


ROWS = [_row(family) for family in CHAT_MODELS]
