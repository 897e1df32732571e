"""Cohere's second version: chat and embeddings, as strict about fields as its reference."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from tests.fakes.vendor.scene import Heard, Reply, Said, Scene, parts

SSE = {"content-type": "text/event-stream"}
_CHAT = frozenset(
    [
        "stream", "model", "messages", "tools", "strict_tools", "documents", "citation_options", "response_format", "safety_mode", "max_tokens",
        "stop_sequences", "temperature", "seed", "frequency_penalty", "presence_penalty", "k", "p", "logprobs", "tool_choice", "thinking",
        "priority",
    ]
)  # fmt: skip
_EMBED = frozenset(
    ["model", "texts", "images", "inputs", "input_type", "max_tokens", "output_dimension", "embedding_types", "truncate", "priority"]
)  # fmt: skip
_MESSAGES = {
    "system": {"role", "content"}, "user": {"role", "content"}, "tool": {"role", "tool_call_id", "content"},
    "assistant": {"role", "content", "tool_calls", "tool_plan", "citations"},
}  # fmt: skip
_FINISH = {"stop": "COMPLETE", "length": "MAX_TOKENS", "tool_calls": "TOOL_CALL"}


class Refused(Exception):
    """What the API says to a request it does not like."""


class Cohere:
    name = "cohere"

    def claims(self, heard: Heard) -> bool:
        return heard.route.endswith(("/v2/chat", "/v2/embed"))

    def reply(self, heard: Heard, scene: Scene) -> Reply:
        if not heard.headers.get("authorization", "").startswith("Bearer sk-"):
            return self.refusal(401, "invalid api token")
        body = heard.json
        try:
            if heard.route.endswith("/embed"):
                return Reply((orjson.dumps(_embedded(body, scene)),))
            check(body)
        except Refused as refused:
            return self.refusal(400, str(refused))
        if not body.get("stream"):
            return Reply((orjson.dumps(message(body, scene)),))
        pieces = [
            b"event: %b\ndata: %b\n\n" % (said["type"].encode(), orjson.dumps(said)) for said in events(body, scene)
        ]
        return Reply((*pieces, b"data: [DONE]\n\n"), headers=SSE)

    def refusal(self, status: int, message: str) -> Reply:
        return Reply((orjson.dumps({"id": "4f0b6b3e-1b7c-4f0e-9a0a-2f1d3c4b5a69", "message": message}),), status)


def check(body: Mapping[str, Any]) -> None:
    """Raises Refused for what Cohere would not take."""
    _known(body, _CHAT, "")
    if not body.get("model") or not body.get("messages"):
        raise Refused("invalid request: model and messages are required")
    if len(body.get("stop_sequences", ())) > 5 or not 0 <= body.get("frequency_penalty", 0) <= 1:
        raise Refused("invalid request: at most 5 stop sequences, penalties from 0 to 1")
    if body.get("tool_choice", "NONE") not in ("REQUIRED", "NONE") or ("tool_choice" in body and not body.get("tools")):
        raise Refused("invalid request: tool_choice")
    if body.get("response_format", {"type": "text"})["type"] not in ("text", "json_object"):
        raise Refused("invalid request: response_format.type")
    if "response_format" in body and body.get("tools"):
        raise Refused("invalid request: response_format is not supported with tools")
    _known(body.get("thinking", {}), frozenset(["type", "token_budget"]), "thinking.")
    for tool in body.get("tools", ()):
        _known(tool, frozenset(["type", "function"]), "tools.")
        _known(tool["function"], frozenset(["name", "description", "parameters"]), "tools.function.")
    waiting: list[str] = []
    for said in body["messages"]:
        _known(said, frozenset(_MESSAGES[said["role"]]), "messages.")
        _content(said.get("content"), said["role"])
        if said["role"] == "tool":
            if said["tool_call_id"] not in waiting:
                raise Refused(f"invalid request: no tool call {said['tool_call_id']}")
            waiting.remove(said["tool_call_id"])
        elif waiting:
            raise Refused(f"invalid request: tool calls without results: {waiting}")
        waiting += [call["id"] for call in said.get("tool_calls", ())]


def _content(content: Any, role: str) -> None:
    allowed = {
        "user": {"text", "image_url"},
        "assistant": {"text", "thinking"},
        "tool": {"text", "document"},
        "system": {"text"},
    }
    for item in content if isinstance(content, list) else ():
        if item["type"] not in allowed[role] or item["type"] not in item:
            raise Refused(f"invalid request: content of type {item['type']} in a message of {role}")


def message(body: Mapping[str, Any], scene: Scene) -> dict[str, Any]:
    """A whole answer."""
    said = scene.choices[0]
    content = [{"type": "thinking", "thinking": said.reasoning}] if said.reasoning else []
    told: dict[str, Any] = {"role": "assistant"}
    if said.tool_calls:
        told["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in said.tool_calls
        ]
        told |= {"tool_plan": said.text} if said.text else {}
    elif said.text:
        content.append({"type": "text", "text": said.text})
    if content:
        told["content"] = content
    whole: dict[str, Any] = {
        "id": "c14c80c3-18eb-4519-9460-6c92edd8cfb4",
        "finish_reason": _FINISH[said.finish],
        "message": told,
        "usage": usage(scene),
    }
    if body.get("logprobs"):
        whole["logprobs"] = [_logprob(part) for part in parts(said.text)]
    return whole


def events(body: Mapping[str, Any], scene: Scene) -> Iterator[dict[str, Any]]:
    """A streamed answer."""
    said = scene.choices[0]
    start = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    yield {"type": "message-start", "id": "29f14a5a-11de-4cae-9800-25e4747408ea", "delta": {"message": start}}
    index = 0
    for kind, text in (("thinking", said.reasoning), ("text", "" if said.tool_calls else said.text)):
        if not text:
            continue
        yield {"type": "content-start", "index": index, "delta": {"message": {"content": {"type": kind, kind: ""}}}}
        for part in parts(text):
            delta = {"type": "content-delta", "index": index, "delta": {"message": {"content": {kind: part}}}}
            yield {**delta, "logprobs": _logprob(part)} if body.get("logprobs") else delta
        yield {"type": "content-end", "index": index}
        index += 1
    yield from _calls(said)
    yield {"type": "message-end", "delta": {"finish_reason": _FINISH[said.finish], "usage": usage(scene)}}


def _calls(said: Said) -> Iterator[dict[str, Any]]:
    for part in parts(said.text) if said.tool_calls else ():
        yield {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": part}}}
    for index, call in enumerate(said.tool_calls):
        begun = {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
        yield {"type": "tool-call-start", "index": index, "delta": {"message": {"tool_calls": begun}}}
        for at in range(0, len(call.arguments), 5):
            piece = {"function": {"arguments": call.arguments[at : at + 5]}}
            yield {"type": "tool-call-delta", "index": index, "delta": {"message": {"tool_calls": piece}}}
        yield {"type": "tool-call-end", "index": index}


def usage(scene: Scene) -> dict[str, Any]:
    """What is billed is less than what the model read: its marks are not."""
    used = scene.usage
    said = {
        "billed_units": {"input_tokens": used.prompt_tokens, "output_tokens": used.completion_tokens},
        "tokens": {"input_tokens": used.prompt_tokens + 66, "output_tokens": used.completion_tokens},
    }
    return {**said, "cached_tokens": used.cached_tokens}


def _embedded(body: Mapping[str, Any], scene: Scene) -> dict[str, Any]:
    _known(body, _EMBED, "")
    if body.get("input_type") not in ("search_document", "search_query", "classification", "clustering", "image"):
        raise Refused("invalid request: input_type is required")
    if len(body["texts"]) > 96:
        raise Refused("invalid request: total number of texts must be at most 96")
    found = scene.embeddings[: len(body["texts"])]
    by_kind: dict[str, Any] = {}
    for kind in body.get("embedding_types", ["float"]):
        by_kind[kind] = (
            [list(vector) for vector in found]
            if kind == "float"
            else [base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() for vector in found]
        )
    meta = {"api_version": {"version": "2"}, "billed_units": {"input_tokens": scene.usage.prompt_tokens}}
    return {
        "id": "5807ee2e",
        "embeddings": by_kind,
        "texts": body["texts"],
        "meta": meta,
        "response_type": "embeddings_by_type",
    }


def _logprob(text: str) -> dict[str, Any]:
    return {"text": text, "token_ids": [7, 8], "logprobs": [-0.125, -0.125]}


def _known(said: Mapping[str, Any], names: frozenset[str], where: str) -> None:
    for name in said:
        if name not in names:
            raise Refused(f"invalid request: unknown field: {where}{name}")
