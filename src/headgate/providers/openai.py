"""OpenAI itself, or whoever answers at `openai_api_base` in its place."""

from __future__ import annotations

from headgate.providers.compatible import ROUTES, Address, Compatible
from headgate.providers.port import Credential, Target

BASE = "https://api.openai.com/v1"


class OpenAI(Compatible):
    name = "openai"
    label = "OpenAI"

    def address(self, target: Target, credential: Credential | None) -> Address:
        config = target.config
        headers = [(b"authorization", b"Bearer " + config["openai_api_key"].encode())]
        if config.get("openai_organization"):
            headers.append((b"openai-organization", config["openai_organization"].encode()))
        return Address(config.get("openai_api_base", BASE).rstrip("/") + ROUTES[target.task], tuple(headers))
