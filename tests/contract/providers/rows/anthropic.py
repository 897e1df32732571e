"""Anthropic."""

from __future__ import annotations

from tests.contract.providers.rows import Row
from tests.fakes.vendor.anthropic import Anthropic

from headgate.providers import catalogue
from headgate.providers.port import Target

CONFIG = {"anthropic_api_key": "sk-secret"}

ROWS = [
    Row(
        "anthropic",
        catalogue.provider("anthropic", CONFIG),
        Anthropic(),
        lambda task: Target("anthropic", "claude-x", task, CONFIG),
        extra={"inference_geo": "us"},
    )
]
