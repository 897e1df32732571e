"""A chat completion as a message of Anthropic's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

_STOPS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}


def message(completion: bytes) -> bytes:
    """The first choice of a complete answer in the middle language. Whatever else the answer carries (a guardrail's verdict) stays beside."""
    said = orjson.loads(completion)
    choice = said["choices"][0]
    content = [*reasoned(choice["message"]), *items(choice["message"].get("content"))]
    if choice["message"].get("refusal"):
        content.append({"type": "text", "text": choice["message"]["refusal"]})
    calls = choice["message"].get("tool_calls") or []
    content += [_tool_use(call) for call in calls]
    known = {"id", "object", "created", "model", "choices", "usage", "system_fingerprint", "service_tier"}
    return orjson.dumps(
        {
            **head(said),
            "content": content,
            "stop_reason": stop_reason(choice.get("finish_reason"), bool(calls)),
            "stop_sequence": None,
            "usage": usage(said.get("usage")),
            **{name: value for name, value in said.items() if name not in known},
        }
    )


def head(said: Mapping[str, Any]) -> dict[str, Any]:
    """What a message begins with, whole or streamed."""
    answer_id = str(said.get("id") or "")
    return {
        "id": answer_id if answer_id.startswith("msg_") else f"msg_{answer_id}",
        "type": "message",
        "role": "assistant",
        "model": said.get("model") or "",
    }


def stop_reason(finish_reason: Any, has_calls: bool) -> str:
    """Some vendors finish a turn of calls with a plain `stop`."""
    return "tool_use" if has_calls and finish_reason == "stop" else _STOPS.get(str(finish_reason), "end_turn")


def usage(said: Any) -> dict[str, Any]:
    """Anthropic counts what the cache was read for and written with beside the input, not in it."""
    said = said if isinstance(said, Mapping) else {}
    details = said.get("prompt_tokens_details") or {}
    read = said.get("cache_read_input_tokens") or details.get("cached_tokens") or 0
    written = said.get("cache_creation_input_tokens") or 0
    counted: dict[str, Any] = {
        "input_tokens": max(0, (said.get("prompt_tokens") or 0) - read - written),
        "output_tokens": said.get("completion_tokens") or 0,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": written,
    }
    thought = (said.get("completion_tokens_details") or {}).get("reasoning_tokens")
    return {**counted, "output_tokens_details": {"thinking_tokens": thought}} if thought else counted


def items(content: Any) -> list[dict[str, Any]]:
    """Content of the middle language as blocks, empty text left out."""
    found: list[dict[str, Any]] = []
    given: list[dict[str, Any]] = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    for item in given:
        if item["type"] == "text" and (item["text"] or item.get("citations")):
            cited = {"citations": item["citations"]} if item.get("citations") else {}
            found.append({"type": "text", "text": item["text"], **cited})
        for part in item.get("summary") or () if item["type"] == "reasoning" else ():
            if part["type"] == "summary_encrypted_text":
                found.append({"type": "redacted_thinking", "data": part["data"]})
            else:
                found.append(
                    {"type": "thinking", "thinking": part.get("text") or "", "signature": part.get("signature") or ""}
                )
    return found


def reasoned(said: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What vendors of OpenAI's dialect that show their thinking put beside the content."""
    thought = said.get("reasoning_content") or said.get("reasoning")
    return [{"type": "thinking", "thinking": thought, "signature": ""}] if isinstance(thought, str) and thought else []


def _tool_use(call: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "tool_use",
        "id": call["id"],
        "name": call["function"]["name"],
        "input": _arguments(call["function"].get("arguments")),
    }


def _arguments(text: Any) -> dict[str, Any]:
    """A call's arguments; what a model wrote that is no JSON object is shown as it is, under a name of its own."""
    try:
        said = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        said = None
    return said if isinstance(said, dict) else {"arguments": text}
