"""Gemini on Vertex AI: of a generation that thinks by budget, of one that thinks by level, and the text embeddings."""

from __future__ import annotations

from tests.contract.providers.rows import Row
from tests.fakes.vendor.vertex import TOKEN, Vertex

from headgate.providers import catalogue
from headgate.providers.port import EMBEDDINGS, Credential, Target

CONFIG = {"project_id": "our-project", "region": "us-central1", "private_key": '{"private_key": "sk-secret"}'}
SAFETY = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]


def _row(name: str, model: str, embedding: str, region: str) -> Row:
    config = {**CONFIG, "region": region}
    return Row(
        name,
        catalogue.provider("google-cloud-vertex-ai", config),
        Vertex(),
        lambda task: Target("google-cloud-vertex-ai", embedding if task == EMBEDDINGS else model, task, config),
        Credential(TOKEN, 4e9),
        extra={"safetySettings": SAFETY},
        tells=frozenset({"cached_tokens", "reasoning_tokens"}),
        keeps_call_ids=False,
    )


ROWS = [
    _row("vertex, gemini 2.5", "gemini-2.5-flash", "text-embedding-005", "us-central1"),
    _row("vertex, gemini 3", "gemini-3-pro", "gemini-embedding-2", "global"),
]
