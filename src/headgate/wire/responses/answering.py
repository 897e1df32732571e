"""A chat completion as a response of OpenAI's Responses API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from headgate.wire.messages import answering as blocks_of
from headgate.wire.responses import thoughts

_ECHOED: Mapping[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "reasoning": {"effort": None, "summary": None},
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}
"""Of the request, and what stands there where it said nothing."""
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
_KNOWN = frozenset(["id", "object", "created", "model", "choices", "usage", "system_fingerprint", "service_tier"])


def response(completion: bytes, asked: Mapping[str, Any]) -> bytes:
    """The first choice of a complete answer in the middle language. What else the answer carries (a guardrail's verdict) stays beside."""
    said = orjson.loads(completion)
    choice = said["choices"][0]
    answer_id = response_id(said)
    output = _output(choice["message"], answer_id)
    more = {name: value for name, value in said.items() if name not in _KNOWN}
    return orjson.dumps(whole(head(said, asked), output, choice.get("finish_reason"), said.get("usage")) | more)


def response_id(said: Mapping[str, Any]) -> str:
    """`resp_` and what the vendor calls its answer."""
    return f"resp_{str(said.get('id') or '').removeprefix('chatcmpl-')}"


def head(said: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """What a response begins with: `in_progress`, and what was asked."""
    return {
        "id": response_id(said),
        "object": "response",
        "created_at": said.get("created") or 0,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "model": said.get("model") or "",
        "output": [],
        "previous_response_id": None,
        "store": False,
        "usage": None,
        **{name: other if asked.get(name) is None else asked[name] for name, other in _ECHOED.items()},
    }


def whole(
    head: Mapping[str, Any], output: Sequence[Mapping[str, Any]], finish_reason: Any, used: Any
) -> dict[str, Any]:
    """The same at its end."""
    why = _INCOMPLETE.get(str(finish_reason))
    return {
        **head,
        "status": "completed" if why is None else "incomplete",
        "incomplete_details": None if why is None else {"reason": why},
        "output": list(output),
        "usage": usage(used),
    }


def usage(said: Any) -> dict[str, Any] | None:
    """OpenAI's own names of tokens on this route."""
    if not isinstance(said, Mapping):
        return None
    asked, answered = said.get("prompt_tokens") or 0, said.get("completion_tokens") or 0
    read = said.get("cache_read_input_tokens") or (said.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    thought = (said.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
    return {
        "input_tokens": asked,
        "input_tokens_details": {"cached_tokens": read},
        "output_tokens": answered,
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": said.get("total_tokens") or asked + answered,
    }


def text_part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def refusal_part(text: str) -> dict[str, Any]:
    return {"type": "refusal", "refusal": text}


def message(parts: Sequence[Mapping[str, Any]], item_id: str) -> dict[str, Any]:
    """What the model said, as an item."""
    return {"id": item_id, "type": "message", "status": "completed", "role": "assistant", "content": list(parts)}


def call(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    """A function to be called, as an item."""
    return {
        "id": f"fc_{call_id}"[:64],
        "type": "function_call",
        "status": "completed",
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
    }


def _output(said: Mapping[str, Any], answer_id: str) -> list[dict[str, Any]]:
    found = [*blocks_of.reasoned(said), *blocks_of.items(said.get("content"))]
    thought = [block for block in found if block["type"] != "text"]
    parts = [text_part(block["text"]) for block in found if block["type"] == "text"]
    if said.get("refusal"):
        parts.append(refusal_part(said["refusal"]))
    own = answer_id.removeprefix("resp_")
    output = [thoughts.item(thought, f"rs_{own}"[:64])] if thought else []
    output += [message(parts, f"msg_{own}"[:64])] if parts else []
    calls = said.get("tool_calls") or ()
    return output + [
        call(one["id"], one["function"]["name"], one["function"].get("arguments") or "{}") for one in calls
    ]
