"""A Messages request as a chat request of the middle language. What has no place there is refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from headgate.errors import InvalidParameterValue, MalformedRequest

_SAME = (
    "model",
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "usage_context",
    "client_request_id",
    "extra_params",
    "databricks_options",
)
_TRANSLATED = frozenset(
    {
        *_SAME,
        "messages",
        "system",
        "stream",
        "stop_sequences",
        "tools",
        "tool_choice",
        "thinking",
        "metadata",
        "output_config",
    }
)
_EFFORTS = (("low", 2048), ("medium", 8192))
"""By the most tokens of thought."""
_HINTS = {"eager_input_streaming", "type", "name", "description", "input_schema", "strict", "cache_control"}
"""Of a tool: what is translated, or only says how to send the answer."""


def chat_request(body: bytes, *, keep_cache_marks: bool, keep_thinking: bool) -> dict[str, Any]:
    """The request in the middle language, usage asked for when it streams.

    `keep_cache_marks`: whether the vendor knows `cache_control` (`Capabilities.cache_control`); others cache, or do not, without being told.
    `keep_thinking`: whether it knows `thinking` (`Capabilities.thinking`); others are told how much by `reasoning_effort`.
    Raises MalformedRequest, and InvalidParameterValue that names what cannot be said in the middle language.
    """
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedRequest(f"The request body is not valid JSON: {error}") from error
    if not isinstance(said, dict):
        raise MalformedRequest("The request body is not a JSON object.")
    for name, value in said.items():
        if name not in _TRANSLATED and value and not (name == "service_tier" and value == "auto"):
            raise InvalidParameterValue(f"{name} is not supported by this endpoint's model: leave it out.")
    return _Translator(keep_cache_marks, keep_thinking).request(said)


class _Translator:
    def __init__(self, keep_cache_marks: bool, keep_thinking: bool) -> None:
        self._keep_cache_marks, self._keep_thinking = keep_cache_marks, keep_thinking

    def request(self, said: Mapping[str, Any]) -> dict[str, Any]:
        asked: dict[str, Any] = {name: said[name] for name in _SAME if said.get(name) is not None}
        asked["messages"] = self._messages(said)
        if said.get("stream"):
            asked |= {"stream": True, "stream_options": {"include_usage": True}}
        if said.get("stop_sequences"):
            asked["stop"] = said["stop_sequences"]
        if said.get("tools"):
            tools = _listed(said["tools"], "tools")
            asked["tools"] = [self._tool(tool, f"tools[{index}]") for index, tool in enumerate(tools)]
        asked |= _tool_choice(said.get("tool_choice")) | _output(said.get("output_config"))
        asked = _thinking(said.get("thinking"), self._keep_thinking) | asked
        metadata = said.get("metadata")
        user = metadata.get("user_id") if isinstance(metadata, Mapping) else None
        return {**asked, "user": user} if user else asked

    def _messages(self, said: Mapping[str, Any]) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        if said.get("system"):
            messages.append({"role": "system", "content": self._content(said["system"], "system")})
        for index, message in enumerate(_listed(said.get("messages"), "messages")):
            where = f"messages[{index}]"
            role = message.get("role") if isinstance(message, Mapping) else None
            if role == "user":
                messages += self._user(message.get("content"), where)
            elif role == "assistant":
                messages.append(self._assistant(message.get("content"), where))
            elif role == "system":
                messages.append({"role": "system", "content": self._content(message.get("content"), where)})
            else:
                raise InvalidParameterValue(f"{where}.role must be user or assistant.")
        return messages

    def _user(self, content: Any, where: str) -> list[dict[str, Any]]:
        """Results of tools are messages of their own, before what the user says."""
        if isinstance(content, str):
            return [{"role": "user", "content": content}]
        blocks = _listed(content, f"{where}.content")
        results = [block for block in blocks if _kind(block) == "tool_result"]
        rest = [block for block in blocks if _kind(block) != "tool_result"]
        said = [self._tool_result(block, where) for block in results]
        return [*said, {"role": "user", "content": self._content(rest, where)}] if rest else said

    def _tool_result(self, block: Mapping[str, Any], where: str) -> dict[str, Any]:
        content = block.get("content") or ""
        blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
        if block.get("is_error"):
            # The middle language has no other word for it.
            blocks = [{"type": "text", "text": "Error:"}, *blocks]
        said = self._content(blocks, where)
        if self._keep_cache_marks and block.get("cache_control"):
            items = said if isinstance(said, list) else [{"type": "text", "text": said}]
            said = [*items[:-1], {**items[-1], "cache_control": block["cache_control"]}]
        return {"role": "tool", "tool_call_id": block.get("tool_use_id"), "content": said}

    def _assistant(self, content: Any, where: str) -> dict[str, Any]:
        if isinstance(content, str):
            return {"role": "assistant", "content": content}
        blocks = _listed(content, f"{where}.content")
        uses = [block for block in blocks if _kind(block) == "tool_use"]
        rest = [block for block in blocks if _kind(block) != "tool_use"]
        said: dict[str, Any] = {"role": "assistant", "content": self._content(rest, where) if rest else None}
        if uses:
            said["tool_calls"] = [
                {
                    "id": use.get("id"),
                    "type": "function",
                    "function": {"name": use.get("name"), "arguments": orjson.dumps(use.get("input") or {}).decode()},
                }
                for use in uses
            ]
        return said

    def _content(self, content: Any, where: str) -> Any:
        """A string, or a list of items; one text without marks is a string."""
        if isinstance(content, str):
            return content
        blocks = _listed(content, f"{where}.content")
        items = [self._item(block, f"{where}.content[{index}]") for index, block in enumerate(blocks)]
        return items[0]["text"] if len(items) == 1 and items[0].keys() == {"type", "text"} else items

    def _item(self, block: Any, where: str) -> dict[str, Any]:
        kind = _kind(block)
        if kind == "text":
            item: dict[str, Any] = {"type": "text", "text": block.get("text")}
        elif kind == "image":
            item = {"type": "image_url", "image_url": {"url": _image_url(block.get("source"), where)}}
        elif kind == "document":
            item = {
                name: block[name] for name in ("type", "source", "title", "context", "citations") if block.get(name)
            }
        elif kind == "thinking":
            part = {"type": "summary_text", "text": block.get("thinking"), "signature": block.get("signature")}
            item = {"type": "reasoning", "summary": [part]}
        elif kind == "redacted_thinking":
            item = {"type": "reasoning", "summary": [{"type": "summary_encrypted_text", "data": block.get("data")}]}
        else:
            raise InvalidParameterValue(f"{where} of type {kind!r} is not supported by this endpoint's model.")
        if self._keep_cache_marks and block.get("cache_control"):
            item["cache_control"] = block["cache_control"]
        return item

    def _tool(self, tool: Any, where: str) -> dict[str, Any]:
        kind = tool.get("type") or "custom" if isinstance(tool, Mapping) else None
        if kind != "custom":
            raise InvalidParameterValue(
                f"{where} of type {kind!r} is not supported by this endpoint's model: only tools of your own are."
            )
        for name, value in tool.items():
            if value and name not in _HINTS and value != ["direct"]:
                raise InvalidParameterValue(f"{where}.{name} is not supported by this endpoint's model: leave it out.")
        function = {
            "name": tool.get("name"),
            "description": tool.get("description"),
            "parameters": tool.get("input_schema"),
        }
        said: dict[str, Any] = {
            "type": "function",
            "function": {name: value for name, value in function.items() if value is not None},
        }
        if tool.get("strict"):
            said["function"]["strict"] = True
        if self._keep_cache_marks and tool.get("cache_control"):
            said["cache_control"] = tool["cache_control"]
        return said


def _tool_choice(said: Any) -> dict[str, Any]:
    if not said:
        return {}
    kind = said.get("type") if isinstance(said, Mapping) else None
    choices: dict[Any, Any] = {
        "auto": "auto",
        "any": "required",
        "none": "none",
        "tool": {"type": "function", "function": {"name": said.get("name")}} if kind == "tool" else None,
    }
    if not isinstance(kind, str) or kind not in choices:
        raise InvalidParameterValue("tool_choice.type must be auto, any, tool or none.")
    one_at_a_time = {"parallel_tool_calls": False} if said.get("disable_parallel_tool_use") else {}
    return {"tool_choice": choices[kind], **one_at_a_time}


def _thinking(said: Any, keep: bool) -> dict[str, Any]:
    """How much to think. A vendor that knows efforts only decides by itself unless it was told a number of tokens."""
    if not isinstance(said, Mapping):
        return {}
    if keep:
        return {"thinking": said}
    budget = said.get("budget_tokens")
    if not isinstance(budget, int):
        return {}
    return {"reasoning_effort": next((effort for effort, most in _EFFORTS if budget <= most), "high")}


def _output(said: Any) -> dict[str, Any]:
    if not said:
        return {}
    wanted = said.get("format") if isinstance(said, Mapping) else None
    asked: dict[str, Any] = {}
    if wanted:
        if not isinstance(wanted, Mapping) or wanted.get("type") != "json_schema":
            raise InvalidParameterValue("output_config.format.type must be json_schema.")
        schema = {"name": "answer", "schema": wanted.get("schema"), "strict": True}
        asked["response_format"] = {"type": "json_schema", "json_schema": schema}
    if isinstance(said, Mapping) and said.get("effort"):
        asked["reasoning_effort"] = said["effort"]
    return asked


def _image_url(source: Any, where: str) -> Any:
    kind = source.get("type") if isinstance(source, Mapping) else None
    if kind == "base64":
        return f"data:{source.get('media_type')};base64,{source.get('data')}"
    if kind == "url":
        return source.get("url")
    raise InvalidParameterValue(
        f"{where}.source of type {kind!r} is not supported by this endpoint's model: use base64 or url."
    )


def _kind(block: Any) -> Any:
    return block.get("type") if isinstance(block, Mapping) else None


def _listed(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise InvalidParameterValue(f"{where} must be a list of at least one item.")
    return value
