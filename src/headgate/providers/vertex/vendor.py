"""Vertex AI's adapter: where it is, how it is asked, what it can do."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from urllib.parse import quote

import orjson

from headgate.errors import InvalidParameterValue
from headgate.providers import capabilities
from headgate.providers.capabilities import Capabilities
from headgate.providers.port import (
    CHAT,
    EMBEDDINGS,
    Answer,
    Credential,
    Outgoing,
    Request,
    StreamReader,
    Target,
    VendorFailure,
)
from headgate.providers.translation import middle
from headgate.providers.vertex import answering, asking, embedding, refusing, service_account
from headgate.providers.vertex.streaming import Reader

_REGION = re.compile(r"[a-z][a-z0-9-]{0,40}")
_MULTI_REGIONS = ("eu", "us")
_ADVICE = {"llm/v1/completions": "Gemini has no completions: serve it as llm/v1/chat."}


class Vertex:
    """See `port.Provider`. Every request needs a token: `token_request` depends on the target's config alone, so one token serves all models.

    `google_cloud_vertex_ai_api_base` and `google_cloud_vertex_ai_token_uri` in a config stand for Google's own addresses.
    """

    name = "google-cloud-vertex-ai"
    capabilities = Capabilities(
        tasks=frozenset({CHAT, EMBEDDINGS}),
        tools=True,
        tool_choice=True,
        images=True,
        audio=True,
        files=True,
        structured_output=True,
        json_object=True,
        n=True,
        logprobs=True,
        stop=True,
        reasoning=True,
        thinking=True,
        seed=True,
        penalties=True,
        top_k=True,
        dimensions=True,
    )

    def __init__(self, now_s: Callable[[], float] = time.time) -> None:
        self._now_s = now_s

    def prepare(self, target: Target, request: Request, credential: Credential | None, now_s: float) -> Outgoing:
        """A request of `generateContent` or its relatives. Raises InvalidParameterValue naming what Gemini cannot do."""
        if target.task not in self.capabilities.tasks:
            advice = _ADVICE.get(target.task, f"it does {', '.join(sorted(self.capabilities.tasks))}.")
            raise InvalidParameterValue(f"{refusing.VENDOR} does not support {target.task}: {advice}")
        if credential is None:
            raise InvalidParameterValue(f"{refusing.VENDOR} needs a token of the service account in private_key.")
        body = middle.parsed(request)
        if body.get("parallel_tool_calls") is True:
            # Gemini always may; it cannot be told not to.
            body = {name: value for name, value in body.items() if name != "parallel_tool_calls"}
        capabilities.require(self.capabilities, refusing.VENDOR, body)
        if target.task == EMBEDDINGS:
            return _post(target, credential, embedding.request(target.model, body))
        verb = "streamGenerateContent?alt=sse" if request.stream else "generateContent"
        return _post(target, credential, asking.Asked(verb, asking.generation(target.model, body)))

    def answer(self, target: Target, body: bytes) -> Answer:
        """Candidates as choices, embeddings as a list."""
        said = middle.answered(refusing.VENDOR, body)
        if target.task == EMBEDDINGS:
            return embedding.answer(target.model, said)
        return answering.completion(target.model, said, int(self._now_s()))

    def stream(self, target: Target, include_usage: bool) -> StreamReader:
        return Reader(target.model, int(self._now_s()), include_usage)

    def failure(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> VendorFailure:
        return refusing.failure(status, headers, body)

    def token_request(self, target: Target, now_s: float) -> Outgoing | None:
        """The service account's signed assertion. Its key is needed here only."""
        token_uri = target.config.get("google_cloud_vertex_ai_token_uri") or service_account.TOKEN_URI
        return service_account.token_request(target.config["private_key"], now_s, token_uri)

    def credential(self, body: bytes, now_s: float) -> Credential:
        return service_account.credential(body, now_s)


def _post(target: Target, credential: Credential, asked: asking.Asked) -> Outgoing:
    region = target.config["region"]
    if not _REGION.fullmatch(region):
        raise InvalidParameterValue(f"region {region!r} is none: use global, or one such as us-central1.")
    base = target.config.get("google_cloud_vertex_ai_api_base") or f"https://{_host(region)}"
    where = f"projects/{quote(target.config['project_id'], safe='')}/locations/{region}"
    headers = (
        (b"content-type", b"application/json"),
        (b"authorization", b"Bearer " + credential.value.encode()),
    )
    url = f"{base.rstrip('/')}/{asked.version}/{where}/{_resource(target.model)}:{asked.verb}"
    return Outgoing("POST", url, headers, orjson.dumps(asked.body))


def _host(region: str) -> str:
    if region == "global":
        return "aiplatform.googleapis.com"
    if region in _MULTI_REGIONS:
        return f"aiplatform.{region}.rep.googleapis.com"
    return f"{region}-aiplatform.googleapis.com"


def _resource(model: str) -> str:
    """A model of Google's by its name; a tuned one by the number of its endpoint, which may stand after `endpoints/`."""
    name = model.removeprefix("endpoints/")
    if name.isdigit():
        return f"endpoints/{name}"
    return f"publishers/google/models/{quote(model.removeprefix('publishers/google/models/'), safe='')}"
