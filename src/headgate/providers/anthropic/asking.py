"""A chat request as Anthropic's Messages API wants it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headgate.errors import InvalidParameterValue
from headgate.providers.translation import middle, tools, turns

MAX_TOKENS = 4096
"""Where the client says nothing: Anthropic wants a number. Every model allows that many."""

GOVERNED = frozenset({"system", "stop_sequences", "mcp_servers", "container", "user_profile_id", "workspace_id"})
"""Of Anthropic's own fields, what `extra_params` cannot set."""

BETAS = "anthropic_beta"
"""The member of `extra_params` whose names go into the header `anthropic-beta`."""


def messages_request(model: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The request in Anthropic's dialect, without `stream`. `body` has been checked against the capabilities."""
    conversation = turns.conversation(body.get("messages"))
    asked: dict[str, Any] = {
        "model": model,
        "max_tokens": _max_tokens(body),
        "messages": [{"role": turn.role, "content": _blocks(turn.blocks)} for turn in conversation.turns],
    }
    if conversation.system:
        asked["system"] = _blocks(conversation.system)
    if (stop := middle.stop_sequences(body)) != []:
        asked["stop_sequences"] = stop
    for name in ("temperature", "top_p", "top_k", "thinking"):
        if body.get(name) is not None:
            asked[name] = body[name]
    if isinstance(temperature := body.get("temperature"), int | float) and temperature > 1:
        raise InvalidParameterValue(f"Anthropic does not support temperature {temperature}: it goes from 0 to 1.")
    asked |= _tools(body) | _metadata(body)
    _say_effort(asked, body.get("reasoning_effort"))
    if (schema := tools.json_schema(body.get("response_format"))) is not None:
        asked.setdefault("output_config", {})["format"] = {"type": "json_schema", "schema": schema.schema}
    return middle.with_extra(asked, body, GOVERNED)


def _max_tokens(body: Mapping[str, Any]) -> int:
    """What the client allows, or enough for the thinking it asks for and an answer."""
    allowed = middle.most_tokens(body)
    if allowed is not None:
        return allowed
    thinking = body.get("thinking")
    budget = thinking.get("budget_tokens") if isinstance(thinking, Mapping) else None
    return MAX_TOKENS + (budget if isinstance(budget, int) else 0)


def _tools(body: Mapping[str, Any]) -> dict[str, Any]:
    functions = tools.functions(body.get("tools"))
    if not functions:
        return {}
    asked: dict[str, Any] = {"tools": [_tool(function) for function in functions]}
    choice = tools.choice(body.get("tool_choice"))
    said: dict[str, Any] = {"type": {"required": "any", "function": "tool"}.get(choice.kind, choice.kind)}
    if choice.name:
        said["name"] = choice.name
    if body.get("parallel_tool_calls") is False and choice.kind != "none":
        said["disable_parallel_tool_use"] = True
    if body.get("tool_choice") is not None or len(said) > 1:
        asked["tool_choice"] = said
    return asked


def _tool(function: tools.Function) -> dict[str, Any]:
    said: dict[str, Any] = {"name": function.name, "input_schema": function.parameters}
    if function.description:
        said["description"] = function.description
    if function.strict:
        said["strict"] = True
    return _cached(said, function.cache)


def _metadata(body: Mapping[str, Any]) -> dict[str, Any]:
    said = body.get("metadata") or {}
    if not isinstance(said, Mapping):
        raise InvalidParameterValue("metadata must be an object.")
    metadata = dict(said)
    user = body.get("user") or metadata.pop("user_id", None)
    if metadata:
        raise InvalidParameterValue(
            f"Anthropic does not support metadata {sorted(metadata)[0]!r}: it knows user_id only."
        )
    return {"metadata": {"user_id": user}} if user else {}


def _say_effort(asked: dict[str, Any], effort: Any) -> None:
    if effort is None:
        return
    if effort == "none":
        asked.setdefault("thinking", {"type": "disabled"})
    elif effort in ("low", "medium", "high", "xhigh", "max"):
        asked["output_config"] = {"effort": effort}
    else:
        raise InvalidParameterValue(
            f"Anthropic does not support reasoning_effort {effort!r}: use none, low, medium, high, xhigh or max."
        )


def _blocks(blocks: Sequence[turns.Block]) -> list[dict[str, Any]]:
    return [_block(block) for block in turns.whole_thoughts(blocks)]


def _block(block: turns.Block) -> dict[str, Any]:
    match block:
        case turns.Text():
            return _cached({"type": "text", "text": block.text}, block.cache)
        case turns.Image():
            source = (
                {"type": "url", "url": block.url}
                if block.url
                else {"type": "base64", "media_type": block.media_type, "data": block.data}
            )
            return _cached({"type": "image", "source": source}, block.cache)
        case turns.Document():
            return _cached({"type": "document", "source": _source(block), **block.said}, block.cache)
        case turns.Reasoning():
            return {"type": "thinking", "thinking": block.text, "signature": block.signature}
        case turns.Redacted():
            return {"type": "redacted_thinking", "data": block.data}
        case turns.ToolUse():
            return {"type": "tool_use", "id": block.call_id, "name": block.name, "input": block.input}
        case turns.ToolResult():
            return _tool_result(block)


def _tool_result(block: turns.ToolResult) -> dict[str, Any]:
    """A mark of the cache on the result's last item is the result's own."""
    said: dict[str, Any] = {"type": "tool_result", "tool_use_id": block.call_id}
    if block.content:
        said["content"] = _blocks(block.content)
    return said


def _source(document: turns.Document) -> Mapping[str, Any]:
    """Files of text that came in base64 are text to Anthropic, which takes only PDF in base64."""
    source = document.source
    if source.get("type") == "base64" and str(source.get("media_type", "")).startswith("text/"):
        return {"type": "text", "media_type": "text/plain", "data": tools.text_of_base64(source.get("data"))}
    return source


def _cached(said: dict[str, Any], cache: turns.Cache | None) -> dict[str, Any]:
    return {**said, "cache_control": cache} if cache is not None else said
