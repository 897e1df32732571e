"""AI21 Labs."""

from __future__ import annotations

from tests.contract.providers.rows import Row
from tests.fakes.vendor.ai21 import AI21

from headgate.providers import catalogue
from headgate.providers.port import Target

CONFIG = {"ai21labs_api_key": "sk-secret"}

ROWS = [
    Row(
        "ai21labs",
        catalogue.provider("ai21labs", CONFIG),
        AI21(),
        lambda task: Target("ai21labs", "jamba-x", task, CONFIG),
        extra={"documents": [{"content": "Rain."}]},
        shows_reasoning=False,
        tells=frozenset(),
        unsayable=frozenset({"filtered"}),
    )
]
