"""A Responses request as a chat request of the middle language. What has no place there is refused by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from headgate.errors import InvalidParameterValue, MalformedRequest
from headgate.wire.responses import thoughts

_SAME = (
    "model",
    "temperature",
    "top_p",
    "parallel_tool_calls",
    "user",
    "stream",
    "usage_context",
    "client_request_id",
    "extra_params",
    "databricks_options",
    "custom_inputs",
    "context",
)
_TRANSLATED = frozenset(
    [*_SAME, "input", "instructions", "max_output_tokens", "metadata", "reasoning", "text", "tool_choice", "tools"]
)
_HINTS = frozenset(["prompt_cache_key", "prompt_cache_retention", "safety_identifier", "stream_options"])
"""Say nothing of what is to be answered: left out."""
_HARMLESS: Mapping[str, Callable[[Any], bool]] = {
    "truncation": lambda value: value == "disabled",
    "service_tier": lambda value: value in ("auto", "default"),
    "include": lambda value: isinstance(value, list) and set(map(str, value)) <= {"reasoning.encrypted_content"},
    "top_logprobs": lambda value: value == 0,
}
"""Values that ask for nothing."""
_STATE = frozenset(["background", "conversation", "previous_response_id", "store", "prompt"])
_INPUT_ROLES = ("user", "assistant", "system", "developer")


def parsed(body: bytes) -> dict[str, Any]:
    """The request. Raises MalformedRequest for what is no JSON object."""
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedRequest(f"The request body is not valid JSON: {error}") from error
    if not isinstance(said, dict):
        raise MalformedRequest("The request body is not a JSON object.")
    return said


def chat_request(said: Mapping[str, Any]) -> dict[str, Any]:
    """The request in the middle language, usage asked for when it streams. Raises InvalidParameterValue naming what cannot be said there."""
    for name, value in said.items():
        if name in _STATE and value:
            raise InvalidParameterValue(
                f"Bad request: {name} is not supported: nothing is kept between requests. Send the whole input."
            )
        harmless = _HARMLESS.get(name)
        if value and name not in _TRANSLATED | _HINTS | _STATE and not (harmless is not None and harmless(value)):
            raise InvalidParameterValue(f"{name} is not supported by this endpoint's model: leave it out.")
    asked: dict[str, Any] = {name: said[name] for name in _SAME if said.get(name) is not None}
    asked["messages"] = _messages(said)
    if said.get("stream"):
        asked["stream_options"] = {"include_usage": True}
    if said.get("max_output_tokens") is not None:
        asked["max_tokens"] = said["max_output_tokens"]
    if said.get("metadata"):
        asked["metadata"] = said["metadata"]
    if said.get("tools"):
        asked["tools"] = [_tool(tool, f"tools[{index}]") for index, tool in enumerate(_listed(said["tools"], "tools"))]
    return asked | _tool_choice(said.get("tool_choice")) | _effort(said.get("reasoning")) | _format(said.get("text"))


def _messages(said: Mapping[str, Any]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    if said.get("instructions"):
        if not isinstance(said["instructions"], str):
            raise InvalidParameterValue("instructions must be a text.")
        messages.append({"role": "system", "content": said["instructions"]})
    given = said.get("input")
    if isinstance(given, str):
        return [*messages, {"role": "user", "content": given}]
    for index, item in enumerate(_listed(given, "input")):
        _add(messages, item, f"input[{index}]")
    return messages


def _add(messages: list[dict[str, Any]], item: Any, where: str) -> None:
    kind = item.get("type") or "message" if isinstance(item, Mapping) else None
    if kind == "message":
        role = item.get("role")
        if role not in _INPUT_ROLES:
            raise InvalidParameterValue(f"{where}.role must be one of {', '.join(_INPUT_ROLES)}.")
        content = _content(item.get("content"), where)
        if role == "assistant":
            _say(messages, content)
        else:
            messages.append({"role": role, "content": content})
    elif kind == "function_call":
        function = {"name": item.get("name"), "arguments": item.get("arguments") or "{}"}
        call = {"id": item.get("call_id"), "type": "function", "function": function}
        _assistant(messages, new=_has_results(messages)).setdefault("tool_calls", []).append(call)
    elif kind == "function_call_output":
        content = item.get("output")
        text = content if isinstance(content, str) else _content(content, f"{where}.output")
        messages.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": text})
    elif kind == "reasoning":
        # Without what was signed nobody can use a thought; with it, it goes where it came from.
        for thought in thoughts.opened(item.get("encrypted_content")):
            _think(messages, thought)
    else:
        raise InvalidParameterValue(f"{where} of type {kind!r} is not supported by this endpoint's model.")


def _assistant(messages: list[dict[str, Any]], *, new: bool) -> dict[str, Any]:
    """The assistant's turn that is going on."""
    if new or not messages or messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant", "content": None})
    return messages[-1]


def _has_results(messages: list[dict[str, Any]]) -> bool:
    return bool(messages) and messages[-1]["role"] == "tool"


def _say(messages: list[dict[str, Any]], content: Any) -> None:
    """What the assistant said; after a thought it is the same turn."""
    last = messages[-1] if messages else {}
    if last.get("role") == "assistant" and isinstance(last.get("content"), list) and not last.get("tool_calls"):
        last["content"] += [{"type": "text", "text": content}] if isinstance(content, str) else content
    else:
        messages.append({"role": "assistant", "content": content})


def _think(messages: list[dict[str, Any]], thought: Any) -> None:
    turn = _assistant(messages, new=bool(messages) and bool(messages[-1].get("tool_calls")))
    before = turn["content"]
    turn["content"] = [{"type": "text", "text": before}] if isinstance(before, str) else before or []
    turn["content"].append(thought)


def _content(content: Any, where: str) -> Any:
    """A string, or a list of items; one text is a string."""
    if isinstance(content, str):
        return content
    parts = _listed(content, f"{where}.content")
    items = [_item(part, f"{where}.content[{index}]") for index, part in enumerate(parts)]
    return items[0]["text"] if len(items) == 1 and items[0]["type"] == "text" else items


def _item(part: Any, where: str) -> dict[str, Any]:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind in ("input_text", "output_text", "text"):
        return {"type": "text", "text": part.get("text")}
    if kind == "refusal":
        return {"type": "text", "text": part.get("refusal")}
    if kind == "input_image" and part.get("image_url"):
        detail = {"detail": part["detail"]} if part.get("detail") not in (None, "auto") else {}
        return {"type": "image_url", "image_url": {"url": part["image_url"], **detail}}
    if kind == "input_file" and part.get("file_data"):
        named = {"filename": part["filename"]} if part.get("filename") else {}
        return {"type": "file", "file": {**named, "file_data": part["file_data"]}}
    if kind == "input_audio":
        return {"type": "input_audio", "input_audio": part.get("input_audio")}
    if kind in ("input_image", "input_file"):
        raise InvalidParameterValue(f"{where}: files are not kept here: send the content itself, not a file's id.")
    raise InvalidParameterValue(f"{where} of type {kind!r} is not supported by this endpoint's model.")


def _tool(tool: Any, where: str) -> dict[str, Any]:
    kind = tool.get("type") if isinstance(tool, Mapping) else None
    if kind != "function":
        raise InvalidParameterValue(
            f"{where} of type {kind!r} is not supported by this endpoint's model: only functions of your own are."
        )
    names = ("name", "description", "parameters", "strict")
    return {"type": "function", "function": {name: tool[name] for name in names if tool.get(name) is not None}}


def _tool_choice(said: Any) -> dict[str, Any]:
    if said is None:
        return {}
    if said in ("auto", "none", "required"):
        return {"tool_choice": said}
    if isinstance(said, Mapping) and said.get("type") == "function":
        return {"tool_choice": {"type": "function", "function": {"name": said.get("name")}}}
    raise InvalidParameterValue("tool_choice must be auto, none, required, or a function by its name.")


def _effort(said: Any) -> dict[str, Any]:
    effort = said.get("effort") if isinstance(said, Mapping) else None
    return {"reasoning_effort": effort} if effort else {}


def _format(said: Any) -> dict[str, Any]:
    if not isinstance(said, Mapping):
        return {}
    asked: dict[str, Any] = {"verbosity": said["verbosity"]} if said.get("verbosity") not in (None, "medium") else {}
    wanted = said.get("format")
    wanted = wanted if isinstance(wanted, Mapping) else {}
    kind = wanted.get("type")
    if kind == "json_schema":
        schema = {name: value for name, value in wanted.items() if name != "type" and value is not None}
        asked["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif kind == "json_object":
        asked["response_format"] = {"type": "json_object"}
    elif kind not in (None, "text"):
        raise InvalidParameterValue(f"text.format of type {kind!r} is not supported by this endpoint's model.")
    return asked


def _listed(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise InvalidParameterValue(f"{where} must be a text or a list of at least one item.")
    return value
