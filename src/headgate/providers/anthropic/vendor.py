"""Anthropic's adapter: where it is, how it is asked, what it can do."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from headgate.errors import InvalidParameterValue
from headgate.providers import capabilities, failures
from headgate.providers.anthropic import answering, asking
from headgate.providers.capabilities import Capabilities
from headgate.providers.port import (
    CHAT,
    Answer,
    BadAnswer,
    Credential,
    Outgoing,
    Request,
    StreamReader,
    Target,
    VendorFailure,
)
from headgate.providers.translation import middle

BASE = "https://api.anthropic.com"
VERSION = b"2026-10-21"
OLDER_VERSION = b"2023-06-01"
"""Knows `temperature`, `top_p` and `top_k`, which the newer one refuses; the answers are the same."""
_OLDER_FIELDS = ("temperature", "top_p", "top_k")


class Anthropic:
    """See `port.Provider`. `now_s` dates answers, which Anthropic does not."""

    name = "anthropic"
    capabilities = Capabilities(
        tasks=frozenset({CHAT}),
        tools=True,
        tool_choice=True,
        parallel_tools=True,
        images=True,
        files=True,
        structured_output=True,
        stop=True,
        reasoning=True,
        thinking=True,
        top_k=True,
        cache_control=True,
    )

    def __init__(self, now_s: Callable[[], float] = time.time) -> None:
        self._now_s = now_s

    def prepare(self, target: Target, request: Request, credential: Credential | None, now_s: float) -> Outgoing:
        """A message. Raises InvalidParameterValue naming what Anthropic cannot do."""
        if target.task not in self.capabilities.tasks:
            raise InvalidParameterValue(f"Anthropic does not support {target.task}; it does {CHAT}.")
        body = middle.parsed(request)
        capabilities.require(self.capabilities, answering.VENDOR, body)
        asked = asking.messages_request(target.model, body)
        betas = _betas(asked.pop(asking.BETAS, None))
        if request.stream:
            asked["stream"] = True
        version = OLDER_VERSION if any(name in asked for name in _OLDER_FIELDS) else VERSION
        return post(target, orjson.dumps(asked), version, betas)

    def answer(self, target: Target, body: bytes) -> Answer:
        """The message as a chat completion."""
        return answering.completion(middle.answered(answering.VENDOR, body), int(self._now_s()))

    def stream(self, target: Target, include_usage: bool) -> StreamReader:
        return answering.Reader(target.model, int(self._now_s()), include_usage)

    def failure(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> VendorFailure:
        return failures.failure(answering.VENDOR, status, headers, failures.message_of(body))

    def token_request(self, target: Target, now_s: float) -> Outgoing | None:
        return None

    def credential(self, body: bytes, now_s: float) -> Credential:
        raise BadAnswer("Anthropic takes no short-lived credentials.")


def post(target: Target, body: bytes, version: bytes, betas: bytes) -> Outgoing:
    """A message on its way to Anthropic, or to who answers at `anthropic_api_base` in its place. `betas`: comma-separated, or empty."""
    headers = [
        (b"content-type", b"application/json"),
        (b"x-api-key", target.config["anthropic_api_key"].encode()),
        (b"anthropic-version", version),
    ]
    if betas:
        headers.append((b"anthropic-beta", betas))
    base = target.config.get("anthropic_api_base") or BASE
    return Outgoing("POST", f"{base.rstrip('/').removesuffix('/v1')}/v1/messages", tuple(headers), body)


def _betas(said: Any) -> bytes:
    names = [said] if isinstance(said, str) else said or []
    if not isinstance(names, list) or not all(
        isinstance(name, str) and name.isprintable() and name.isascii() for name in names
    ):
        raise InvalidParameterValue(f"extra_params.{asking.BETAS} must be a list of names.")
    return ",".join(names).encode()
