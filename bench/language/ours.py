"""Headgate under comparison: a house of its own, one endpoint with everything on: authentication, limits, usage, records with payloads."""

from __future__ import annotations

from bench.house import House
from bench.language.peers import MODEL, body
from bench.processes import Launch

ENDPOINT = "gpt"
SETTINGS = {"HEADGATE_PROVIDERS_ALLOW_PRIVATE_ADDRESSES": "true"}
PLENTY = 1_000_000_000
"""Counted all the same."""


def endpoint(upstream: int, name: str = ENDPOINT) -> dict[str, object]:
    """The wish for it: an external model at the benchmark's upstream."""
    config = {"openai_api_key_plaintext": "sk-x", "openai_api_base": f"http://127.0.0.1:{upstream}/v1"}
    model = {"provider": "openai", "name": MODEL, "task": "llm/v1/chat", "openai_config": config}
    limits = [
        {"calls": PLENTY, "key": "endpoint", "renewal_period": "minute"},
        {"tokens": PLENTY, "key": "user", "renewal_period": "minute"},
    ]
    table = {"enabled": True, "catalog_name": "main", "schema_name": "default", "table_name_prefix": "bench"}
    gateway = {
        "usage_tracking_config": {"enabled": True},
        "inference_table_config": table,
        "rate_limits": limits,
    }
    entity = {"name": "fake", "external_model": model}
    return {"name": name, "config": {"served_entities": [entity]}, "ai_gateway": gateway}


def launch(house: House, upstream: int) -> Launch:
    """How it is asked, once it is there."""
    house.create(ENDPOINT, endpoint(upstream))
    return house.launch(ENDPOINT, body())
