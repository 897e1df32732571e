"""Anthropic's dialect, as strict as the real one about order, calls without results, and fields: those of the SDK's own types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from anthropic import types
from anthropic.types.message_create_params import MessageCreateParamsBase
from tests.fakes.vendor.scene import Heard, Reply, Said, Scene, parts

SSE = {"content-type": "text/event-stream; charset=utf-8"}
REQUEST_ID = {"request-id": "req_011CSHoEeqs5C35K2UUqR7Fy"}
SIGNATURE = "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl"
_ERRORS = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error", 413: "request_too_large",
    429: "rate_limit_error", 504: "timeout_error", 529: "overloaded_error",
}  # fmt: skip
_STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
_BLOCKS: Mapping[str, Any] = {
    "text": types.TextBlockParam, "image": types.ImageBlockParam, "document": types.DocumentBlockParam, "tool_use": types.ToolUseBlockParam,
    "tool_result": types.ToolResultBlockParam, "thinking": types.ThinkingBlockParam, "redacted_thinking": types.RedactedThinkingBlockParam,
}  # fmt: skip
_SAMPLING = {"temperature", "top_p", "top_k"}
"""Fields of the older version of the API only."""


class Refused(Exception):
    """What the API says to a request it does not like."""


class Anthropic:
    name = "anthropic"

    def claims(self, heard: Heard) -> bool:
        return heard.route.endswith("/v1/messages")

    def reply(self, heard: Heard, scene: Scene) -> Reply:
        # The SDK sends a key as a bearer token since its version 2, before that as x-api-key.
        if not heard.headers.get("x-api-key") and not heard.headers.get("authorization", "").startswith("Bearer "):
            return self.refusal(401, "x-api-key header is required")
        try:
            version = heard.headers.get("anthropic-version")
            if version not in ("2023-06-01", "2026-10-21"):
                raise Refused("anthropic-version: header is required")
            body = heard.json
            check(body, _SAMPLING if version == "2023-06-01" else set())
        except Refused as refused:
            return self.refusal(400, str(refused))
        if not body.get("stream"):
            return Reply((orjson.dumps(message(scene)),), headers={"content-type": "application/json", **REQUEST_ID})
        pieces = (b"event: %b\ndata: %b\n\n" % (said["type"].encode(), orjson.dumps(said)) for said in events(scene))
        return Reply(tuple(pieces), headers={**SSE, **REQUEST_ID})

    def refusal(self, status: int, message: str) -> Reply:
        error = {"type": _ERRORS.get(status, "api_error"), "message": message}
        body = {"type": "error", "error": error, "request_id": REQUEST_ID["request-id"]}
        return Reply((orjson.dumps(body),), status, {"content-type": "application/json", **REQUEST_ID})


def check(body: Mapping[str, Any], also_known: set[str]) -> None:
    """Raises Refused for what Anthropic would not take."""
    _fields(body, set(MessageCreateParamsBase.__annotations__) | {"stream"} | also_known, "")
    if not isinstance(body.get("max_tokens"), int):
        raise Refused("max_tokens: Field required")
    if not body.get("model") or not body.get("messages"):
        raise Refused("model, messages: Field required")
    if (body.get("temperature") or 0) > 1:
        raise Refused("temperature: range: 0..1")
    if "tool_choice" in body and not body.get("tools"):
        raise Refused("tool_choice may only be specified while providing tools")
    for tool in body.get("tools", []):
        _fields(tool, set(types.ToolParam.__annotations__), "tools.")
        if tool["input_schema"].get("type") != "object":
            raise Refused("tools.0.custom.input_schema.type: Field required")
    if isinstance(body.get("system"), list):
        for block in body["system"]:
            _block(block, {"text"})
    waiting: set[str] = set()
    for index, said in enumerate(body["messages"]):
        waiting = _message(said, waiting, f"messages.{index}")
    if waiting:
        raise Refused(f"`tool_use` ids were found without `tool_result` blocks immediately after: {sorted(waiting)}")


def _message(said: Mapping[str, Any], waiting: set[str], where: str) -> set[str]:
    """The ids of calls that the next message must answer."""
    if set(said) != {"role", "content"} or said["role"] not in ("user", "assistant"):
        raise Refused(f"{where}: role and content, of user or assistant")
    content = said["content"]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    allowed = (
        {"text", "image", "document", "tool_result"}
        if said["role"] == "user"
        else {"text", "tool_use", "thinking", "redacted_thinking"}
    )
    for block in blocks:
        _block(block, allowed)
    results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
    if set(results) != waiting:
        raise Refused(f"{where}: `tool_result` blocks {results} for calls {sorted(waiting)}")
    if any(block["type"] == "tool_result" for block in blocks[len(results) :]):
        raise Refused(f"{where}: `tool_result` blocks come first")
    return {block["id"] for block in blocks if block["type"] == "tool_use"}


def _block(block: Mapping[str, Any], allowed: set[str]) -> None:
    kind = block.get("type")
    if kind not in allowed:
        raise Refused(f"content block of type {kind!r} is not allowed here")
    _fields(block, set(_BLOCKS[kind].__annotations__), f"{kind}.")
    if kind == "text" and not block["text"]:
        raise Refused("text content blocks must be non-empty")
    if kind == "tool_use" and not isinstance(block["input"], dict):
        raise Refused("tool_use.input: Input should be a valid dictionary")
    if kind == "tool_result" and isinstance(block.get("content"), list):
        for inner in block["content"]:
            _block(inner, {"text", "image", "document"})
    if kind in ("image", "document") and block["source"]["type"] not in ("base64", "url", "text", "content", "file"):
        raise Refused("source.type")


def _fields(said: Mapping[str, Any], known: set[str], where: str) -> None:
    for name in said:
        if name not in known:
            raise Refused(f"{where}{name}: Extra inputs are not permitted")


def message(scene: Scene) -> dict[str, Any]:
    """A whole answer."""
    said = scene.choices[0]
    return {
        "id": "msg_013Zva2CMHLNnXjNJJKqJ2EF", "type": "message", "role": "assistant", "model": scene.model,
        "content": list(_content(said)), "stop_reason": _STOPS[said.finish], "stop_sequence": None, "usage": usage(scene),
    }  # fmt: skip


def _content(said: Said) -> Iterator[dict[str, Any]]:
    if said.reasoning:
        yield {"type": "thinking", "thinking": said.reasoning, "signature": SIGNATURE}
    if said.text:
        yield {"type": "text", "text": said.text}
    for call in said.tool_calls:
        yield {"type": "tool_use", "id": call.id, "name": call.name, "input": orjson.loads(call.arguments)}


def usage(scene: Scene) -> dict[str, Any]:
    """The cache beside the input, thinking within the output."""
    used = scene.usage
    return {
        "input_tokens": used.prompt_tokens - used.cached_tokens - used.cache_creation_tokens,
        "cache_creation_input_tokens": used.cache_creation_tokens, "cache_read_input_tokens": used.cached_tokens,
        "cache_creation": {"ephemeral_5m_input_tokens": used.cache_creation_tokens, "ephemeral_1h_input_tokens": 0},
        "output_tokens": used.completion_tokens, "output_tokens_details": {"thinking_tokens": used.reasoning_tokens},
        "service_tier": "standard",
    }  # fmt: skip


def events(scene: Scene) -> Iterator[dict[str, Any]]:
    """A streamed answer: the input counted at the start, the output at the end."""
    whole = message(scene)
    start = {
        **whole,
        "content": [],
        "stop_reason": None,
        "usage": {**whole["usage"], "output_tokens": 1, "output_tokens_details": None},
    }
    yield {"type": "message_start", "message": start}
    for index, block in enumerate(whole["content"]):
        for number, said in enumerate(_block_events(block)):
            if index == 0 and number == 1:
                yield {"type": "ping"}
            yield {**said, "index": index}
    last = {name: whole["usage"][name] for name in ("output_tokens", "output_tokens_details")}
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": whole["stop_reason"], "stop_sequence": None},
        "usage": last,
    }
    yield {"type": "message_stop"}


def _block_events(block: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    empty: dict[str, Any] = {
        "text": {"text": ""},
        "thinking": {"thinking": "", "signature": ""},
        "tool_use": {"input": {}},
    }[block["type"]]
    yield {"type": "content_block_start", "content_block": {**block, **empty}}
    deltas: list[dict[str, Any]]
    if block["type"] == "text":
        deltas = [{"type": "text_delta", "text": part} for part in parts(block["text"])]
    elif block["type"] == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": part} for part in parts(block["thinking"])]
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
    else:
        text = orjson.dumps(block["input"]).decode() if block["input"] else ""
        pieces = ["", *(text[at : at + 6] for at in range(0, len(text), 6))]
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    for delta in deltas:
        yield {"type": "content_block_delta", "delta": delta}
    yield {"type": "content_block_stop"}
