"""A chat request as Cohere's v2 chat wants it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from headgate.errors import InvalidParameterValue
from headgate.providers.translation import middle, tools, turns

VENDOR = "Cohere"
GOVERNED = frozenset({"message", "chat_history", "preamble"})

_PLAIN = {
    "temperature": "temperature", "top_p": "p", "top_k": "k", "seed": "seed", "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
}  # fmt: skip
_BUDGETS: dict[str, int | None] = {"minimal": 1024, "low": 1024, "medium": 8192, "high": None}
"""Tokens of thought for an effort; None: as many as the model wants."""


def chat(model: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The request in Cohere's dialect, without `stream`. `body` has been checked against the capabilities."""
    conversation = turns.conversation(body.get("messages"))
    messages = [{"role": "system", "content": block.text} for block in conversation.system]
    for turn in conversation.turns:
        messages += _assistant(turn.blocks) if turn.role == "assistant" else _user(turn.blocks)
    asked: dict[str, Any] = {"model": model, "messages": messages}
    asked |= {theirs: body[ours] for ours, theirs in _PLAIN.items() if body.get(ours) is not None}
    _check_ranges(body)
    if (most := middle.most_tokens(body)) is not None:
        asked["max_tokens"] = most
    if stop := middle.stop_sequences(body):
        asked["stop_sequences"] = stop
    if body.get("logprobs"):
        asked["logprobs"] = True
    asked |= _tools(body) | _response_format(body)
    if (thinking := _thinking(body)) is not None:
        asked["thinking"] = thinking
    return middle.with_extra(asked, body, GOVERNED)


def _check_ranges(body: Mapping[str, Any]) -> None:
    for name in ("frequency_penalty", "presence_penalty"):
        value = body.get(name)
        if isinstance(value, int | float) and not 0 <= value <= 1:
            raise InvalidParameterValue(f"{VENDOR} does not support {name} {value}: it goes from 0 to 1.")
    for name in ("user", "metadata", "top_logprobs"):
        if body.get(name):
            raise InvalidParameterValue(f"{VENDOR} does not support {name}: leave it out.")


def _tools(body: Mapping[str, Any]) -> dict[str, Any]:
    """Of a function by name: Cohere can be made to call one of the tools it is shown, so it is shown that one."""
    functions = tools.functions(body.get("tools"))
    choice = tools.choice(body.get("tool_choice"))
    if choice.name:
        functions = [function for function in functions if function.name == choice.name]
        if not functions:
            raise InvalidParameterValue(f"tool_choice names {choice.name!r}, which is none of the tools.")
    if not functions:
        return {}
    asked: dict[str, Any] = {"tools": [_tool(function) for function in functions]}
    if any(function.strict for function in functions):
        if not all(function.strict for function in functions):
            raise InvalidParameterValue(
                f"{VENDOR} does not support strict for some tools only: say it of all, or of none."
            )
        asked["strict_tools"] = True
    if choice.kind != "auto":
        asked["tool_choice"] = "NONE" if choice.kind == "none" else "REQUIRED"
    return asked


def _tool(function: tools.Function) -> dict[str, Any]:
    described = {"description": function.description} if function.description else {}
    return {"type": "function", "function": {"name": function.name, **described, "parameters": function.parameters}}


def _response_format(body: Mapping[str, Any]) -> dict[str, Any]:
    said = body.get("response_format")
    if not isinstance(said, Mapping) or said.get("type") == "text":
        return {}
    if body.get("tools"):
        raise InvalidParameterValue(f"{VENDOR} does not support response_format together with tools: leave one out.")
    schema = tools.json_schema(said)
    wanted = {"json_schema": schema.schema} if schema is not None else {}
    return {"response_format": {"type": "json_object", **wanted}}


def _thinking(body: Mapping[str, Any]) -> dict[str, Any] | None:
    thinking, effort = body.get("thinking"), body.get("reasoning_effort")
    if thinking is not None:
        kind = thinking.get("type") if isinstance(thinking, Mapping) else None
        if kind not in ("enabled", "adaptive", "disabled"):
            raise InvalidParameterValue(
                'thinking must be {"type": "enabled", "budget_tokens": …}, adaptive or disabled.'
            )
        budget = thinking.get("budget_tokens") if kind == "enabled" else None
    elif effort is None:
        return None
    elif effort == "none":
        kind, budget = "disabled", None
    elif effort in _BUDGETS:
        kind, budget = "enabled", _BUDGETS[effort]
    else:
        raise InvalidParameterValue(
            f"{VENDOR} does not support reasoning_effort {effort!r}: use none, {', '.join(_BUDGETS)}."
        )
    said: dict[str, Any] = {"type": "disabled" if kind == "disabled" else "enabled"}
    return {**said, "token_budget": budget} if budget is not None else said


def _user(blocks: Sequence[turns.Block]) -> list[dict[str, Any]]:
    """Results of tools are messages of their own; what the user says besides comes after them."""
    messages = [_result(block) for block in blocks if isinstance(block, turns.ToolResult)]
    said = [block for block in blocks if not isinstance(block, turns.ToolResult)]
    if not said:
        return messages
    contents = [_content(block) for block in said]
    plain = len(contents) == 1 and contents[0]["type"] == "text"
    return [*messages, {"role": "user", "content": contents[0]["text"] if plain else contents}]


def _result(block: turns.ToolResult) -> dict[str, Any]:
    if not all(isinstance(part, turns.Text) for part in block.content):
        raise InvalidParameterValue(f"{VENDOR} does not support results of tools other than text.")
    text = "".join(part.text for part in block.content if isinstance(part, turns.Text))
    return {"role": "tool", "tool_call_id": block.call_id, "content": text}


def _assistant(blocks: Sequence[turns.Block]) -> list[dict[str, Any]]:
    """What comes with calls in words is the plan of it."""
    message: dict[str, Any] = {"role": "assistant"}
    calls: list[dict[str, Any]] = []
    contents: list[dict[str, Any]] = []
    for block in blocks:
        match block:
            case turns.ToolUse():
                calls.append(_call(block))
            case turns.Reasoning():
                contents += [{"type": "thinking", "thinking": block.text}] if block.text else []
            case turns.Text():
                contents.append({"type": "text", "text": block.text})
            case _:
                raise InvalidParameterValue(
                    f"{VENDOR} does not support images, or reasoning that is encrypted, in the assistant's messages."
                )
    if calls:
        message["tool_calls"] = calls
    if len(contents) == 1 and contents[0]["type"] == "text":
        message["tool_plan" if calls else "content"] = contents[0]["text"]
    elif contents:
        message["content"] = contents
    return [message]


def _call(block: turns.ToolUse) -> dict[str, Any]:
    arguments = orjson.dumps(block.input).decode()
    return {"id": block.call_id, "type": "function", "function": {"name": block.name, "arguments": arguments}}


def _content(block: turns.Block) -> dict[str, Any]:
    match block:
        case turns.Text():
            return {"type": "text", "text": block.text}
        case turns.Image():
            url = block.url or f"data:{block.media_type};base64,{block.data}"
            return {"type": "image_url", "image_url": {"url": url}}
        case _:
            raise InvalidParameterValue(
                f"{VENDOR} does not support documents in messages: give them in extra_params.documents."
            )
