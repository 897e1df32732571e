"""Cohere's adapter: where it is, how it is asked, what it can do."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import orjson

from headgate.errors import InvalidParameterValue
from headgate.providers import capabilities, failures
from headgate.providers.capabilities import Capabilities
from headgate.providers.cohere import answering, asking, embedding
from headgate.providers.cohere.asking import VENDOR
from headgate.providers.port import (
    CHAT,
    COMPLETIONS,
    EMBEDDINGS,
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

BASE = "https://api.cohere.com"
_ADVICE = {COMPLETIONS: "Cohere has retired its Generate API. Serve the model as llm/v1/chat."}


class Cohere:
    """See `port.Provider`. `now_s` dates answers, which Cohere does not."""

    name = "cohere"
    capabilities = Capabilities(
        tasks=frozenset({CHAT, EMBEDDINGS}),
        tools=True,
        tool_choice=True,
        images=True,
        structured_output=True,
        json_object=True,
        logprobs=True,
        stop=True,
        reasoning=True,
        thinking=True,
        seed=True,
        penalties=True,
        top_k=True,
        dimensions=True,
        base64=True,
    )

    def __init__(self, now_s: Callable[[], float] = time.time) -> None:
        self._now_s = now_s

    def prepare(self, target: Target, request: Request, credential: Credential | None, now_s: float) -> Outgoing:
        """A request of v2. Raises InvalidParameterValue naming what Cohere cannot do."""
        if target.task not in self.capabilities.tasks:
            advice = _ADVICE.get(target.task, f"It does {', '.join(sorted(self.capabilities.tasks))}.")
            raise InvalidParameterValue(f"{VENDOR} does not support {target.task}. {advice}")
        body = middle.parsed(request)
        if body.get("parallel_tool_calls") is True:
            # Cohere always may; it cannot be told not to.
            body = {name: value for name, value in body.items() if name != "parallel_tool_calls"}
        capabilities.require(self.capabilities, VENDOR, body)
        if target.task == EMBEDDINGS:
            return _post(target, "embed", embedding.request(target.model, body))
        asked = asking.chat(target.model, body)
        return _post(target, "chat", {**asked, "stream": True} if request.stream else asked)

    def answer(self, target: Target, body: bytes) -> Answer:
        """A message as a chat completion, embeddings as a list."""
        said = middle.answered(VENDOR, body)
        if target.task == EMBEDDINGS:
            return embedding.answer(target.model, said)
        return answering.completion(target.model, said, int(self._now_s()))

    def stream(self, target: Target, include_usage: bool) -> StreamReader:
        return answering.Reader(target.model, int(self._now_s()), include_usage)

    def failure(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> VendorFailure:
        return failures.failure(VENDOR, status, headers, failures.message_of(body))

    def token_request(self, target: Target, now_s: float) -> Outgoing | None:
        return None

    def credential(self, body: bytes, now_s: float) -> Credential:
        raise BadAnswer("Cohere takes no short-lived credentials.")


def _post(target: Target, route: str, asked: Mapping[str, object]) -> Outgoing:
    """Bases are written with and without a version; ours is the second."""
    base = (target.config.get("cohere_api_base") or BASE).rstrip("/").removesuffix("/v1").removesuffix("/v2")
    headers = (
        (b"content-type", b"application/json"),
        (b"authorization", b"Bearer " + target.config["cohere_api_key"].encode()),
    )
    return Outgoing("POST", f"{base}/v2/{route}", headers, orjson.dumps(asked))
