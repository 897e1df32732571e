"""OpenAI's dialect: chat, completions, embeddings and Responses, also as Azure, Databricks and custom servers speak it."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from typing import Any

import orjson
from tests.fakes.vendor import responses
from tests.fakes.vendor.scene import Heard, Reply, Said, Scene, parts

_CHAT = frozenset(
    [
        "messages",
        "model",
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "top_p",
        "n",
        "stop",
        "stream",
        "stream_options",
        "logprobs",
        "top_logprobs",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "response_format",
        "seed",
        "frequency_penalty",
        "presence_penalty",
        "logit_bias",
        "reasoning_effort",
        "user",
        "metadata",
        "store",
        "service_tier",
        "modalities",
        "audio",
        "prediction",
        "verbosity",
        "functions",
        "function_call",
        "web_search_options",
        "prompt_cache_key",
        "safety_identifier",
    ]
)
_KNOWN = {
    "/chat/completions": _CHAT,
    "/completions": frozenset(
        [
            "model",
            "prompt",
            "max_tokens",
            "temperature",
            "top_p",
            "n",
            "stream",
            "stream_options",
            "stop",
            "echo",
            "suffix",
            "logprobs",
            "best_of",
            "user",
            "seed",
            "logit_bias",
            "frequency_penalty",
            "presence_penalty",
        ]
    ),
    "/embeddings": frozenset(["model", "input", "encoding_format", "dimensions", "user"]),
    "/responses": frozenset(
        [
            "model",
            "input",
            "instructions",
            "max_output_tokens",
            "temperature",
            "top_p",
            "tools",
            "tool_choice",
            "parallel_tool_calls",
            "reasoning",
            "text",
            "truncation",
            "metadata",
            "stream",
            "stream_options",
            "include",
            "user",
            "store",
        ]
    ),
}
_NEEDED = {"/chat/completions": "messages", "/completions": "prompt", "/embeddings": "input", "/responses": "input"}
_ERROR_TYPES = {401: "invalid_request_error", 429: "rate_limit_exceeded", 500: "server_error"}
SSE = {"content-type": "text/event-stream; charset=utf-8"}


class OpenAI:
    """`name` of the vendor that speaks it, the header its key is in, and fields it knows beyond OpenAI's."""

    def __init__(
        self,
        name: str = "openai",
        key_header: str = "authorization",
        also_knows: frozenset[str] = frozenset(),
        usage_everywhere: bool = False,
    ) -> None:
        self.name = name
        self._key_header = key_header
        self._also_knows = also_knows
        self._usage_everywhere = usage_everywhere

    def claims(self, heard: Heard) -> bool:
        return any(heard.route.endswith(route) for route in _KNOWN)

    def reply(self, heard: Heard, scene: Scene) -> Reply:
        route = next(route for route in _KNOWN if heard.route.endswith(route))
        refused = self._refused(heard, route)
        if refused is not None:
            return refused
        body = heard.json
        if route == "/embeddings":
            return _json(_embeddings(body, scene))
        if route == "/responses":
            return responses.reply(body, scene)
        make = _Completion(body, scene, route)
        if not body.get("stream"):
            return _json(make.whole())
        events = make.chunks(self._usage_everywhere)
        return Reply((*(_event(chunk) for chunk in events), b"data: [DONE]\n\n"), headers=SSE)

    def refusal(self, status: int, message: str) -> Reply:
        error = {
            "message": message,
            "type": _ERROR_TYPES.get(status, "invalid_request_error"),
            "param": None,
            "code": None,
        }
        return Reply((orjson.dumps({"error": error}),), status)

    def _refused(self, heard: Heard, route: str) -> Reply | None:
        if not heard.headers.get(self._key_header):
            return self.refusal(401, "You didn't provide an API key.")
        body = heard.json
        unknown = sorted(set(body) - _KNOWN[route] - self._also_knows)
        if unknown:
            return self.refusal(400, f"Unrecognized request argument supplied: {unknown[0]}")
        for needed in (_NEEDED[route], "model"):
            if body.get(needed) is None:
                return self.refusal(400, f"Missing required parameter: '{needed}'.")
        if "stream_options" in body and not body.get("stream"):
            return self.refusal(400, "The 'stream_options' parameter is only allowed when 'stream' is enabled.")
        return None


class _Completion:
    """Chat and completions, whole or in chunks."""

    def __init__(self, body: dict[str, Any], scene: Scene, route: str) -> None:
        self._body, self._scene = body, scene
        self._chat = route == "/chat/completions"
        self._head = {"id": "chatcmpl-9xYz", "created": 1_760_000_000, "model": scene.model}

    def whole(self) -> dict[str, Any]:
        choices = [self._choice(index, said) for index, said in enumerate(self._said())]
        kind = "chat.completion" if self._chat else "text_completion"
        return {**self._head, "object": kind, "choices": choices, "usage": usage(self._scene)}

    def chunks(self, usage_everywhere: bool) -> Iterator[dict[str, Any]]:
        kind = "chat.completion.chunk" if self._chat else "text_completion"
        asked = bool((self._body.get("stream_options") or {}).get("include_usage"))
        told = {"usage": usage(self._scene)} if usage_everywhere else {"usage": None} if asked else {}
        for index, said in enumerate(self._said()):
            for delta, finish in self._deltas(said):
                choice = {"index": index, "finish_reason": finish, "logprobs": None, **delta}
                yield {**self._head, "object": kind, "choices": [choice], **told}
        if asked and not usage_everywhere:
            yield {**self._head, "object": kind, "choices": [], "usage": usage(self._scene)}

    def _said(self) -> tuple[Said, ...]:
        return self._scene.choices[: self._body.get("n") or 1]

    def _choice(self, index: int, said: Said) -> dict[str, Any]:
        logprobs = {"content": [_logprob(part) for part in parts(said.text)]} if self._body.get("logprobs") else None
        rest = {"index": index, "finish_reason": said.finish, "logprobs": logprobs}
        if not self._chat:
            return {"text": said.text, **rest}
        message: dict[str, Any] = {"role": "assistant", "content": said.text or None, "refusal": None}
        if said.tool_calls:
            message["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in said.tool_calls
            ]
        return {"message": message, **rest}

    def _deltas(self, said: Said) -> Iterator[tuple[dict[str, Any], str | None]]:
        if not self._chat:
            yield from (({"text": part}, None) for part in parts(said.text))
            yield {"text": ""}, said.finish
            return
        yield {"delta": {"role": "assistant", "content": "", "refusal": None}}, None
        for part in parts(said.text):
            logprobs = {"logprobs": {"content": [_logprob(part)]}} if self._body.get("logprobs") else {}
            yield {"delta": {"content": part}, **logprobs}, None
        for index, call in enumerate(said.tool_calls):
            named = {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
            yield {"delta": {"tool_calls": [{"index": index, **named}]}}, None
            for at in range(0, len(call.arguments), 5):
                piece = {"index": index, "function": {"arguments": call.arguments[at : at + 5]}}
                yield {"delta": {"tool_calls": [piece]}}, None
        yield {"delta": {}}, said.finish


def usage(scene: Scene) -> dict[str, Any]:
    """As chat and completions say it."""
    used = scene.usage
    return {
        "prompt_tokens": used.prompt_tokens,
        "completion_tokens": used.completion_tokens,
        "total_tokens": used.total_tokens,
        "prompt_tokens_details": {"cached_tokens": used.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": used.reasoning_tokens, "audio_tokens": 0},
    }


def _embeddings(body: dict[str, Any], scene: Scene) -> dict[str, Any]:
    def shaped(vector: tuple[float, ...]) -> Any:
        if body.get("encoding_format") == "base64":
            return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
        return list(vector)

    data = [{"object": "embedding", "index": index, "embedding": shaped(v)} for index, v in enumerate(scene.embeddings)]
    used = {"prompt_tokens": scene.usage.prompt_tokens, "total_tokens": scene.usage.prompt_tokens}
    return {"object": "list", "data": data, "model": scene.model, "usage": used}


def _logprob(token: str) -> dict[str, Any]:
    return {"token": token, "logprob": -0.25, "bytes": list(token.encode()), "top_logprobs": []}


def _json(said: Any) -> Reply:
    return Reply((orjson.dumps(said),))


def _event(said: Any) -> bytes:
    return b"data: " + orjson.dumps(said) + b"\n\n"
