"""Cohere."""

from __future__ import annotations

from tests.contract.providers.rows import Row
from tests.fakes.vendor.cohere import Cohere

from headgate.providers import catalogue
from headgate.providers.port import Target

CONFIG = {"cohere_api_key": "sk-secret"}

ROWS = [
    Row(
        "cohere",
        catalogue.provider("cohere", CONFIG),
        Cohere(),
        lambda task: Target("cohere", "command-x", task, CONFIG),
        extra={"safety_mode": "STRICT"},
        tells=frozenset({"cached_tokens"}),
        unsayable=frozenset({"filtered"}),
    )
]
