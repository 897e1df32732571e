"""What a vendor can do, as data, and the refusal of what it cannot: a 400 that names it, never a parameter silently dropped."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from headgate.errors import InvalidParameterValue


@dataclass(frozen=True, slots=True)
class Capabilities:
    """One flag per row of the conformance matrix. All False: the vendor does plain text only."""

    tasks: frozenset[str]
    streaming: bool = True
    system: bool = True
    tools: bool = False
    tool_choice: bool = False
    """`required` and a function by name, beside `auto` and `none`."""
    parallel_tools: bool = False
    """`parallel_tool_calls` can be said, either way."""
    functions: bool = False
    """`functions` and `function_call`, which `tools` replaced."""
    images: bool = False
    audio: bool = False
    files: bool = False
    structured_output: bool = False
    """`response_format` of type `json_schema`."""
    json_object: bool = False
    """`response_format` of type `json_object`."""
    n: bool = False
    streamed_n: bool = True
    """`n` together with `stream`."""
    logprobs: bool = False
    stop: bool = False
    reasoning: bool = False
    """`reasoning_effort`, and reasoning in answers."""
    thinking: bool = False
    """`thinking`, as Anthropic writes it."""
    seed: bool = False
    penalties: bool = False
    temperature: bool = True
    top_p: bool = True
    top_k: bool = False
    logit_bias: bool = False
    dimensions: bool = False
    """Of embeddings."""
    base64: bool = False
    """`encoding_format: base64` of embeddings comes from the vendor itself."""
    cache_control: bool = False
    """Marks of the prompt's cache on content and tools."""
    unknown: bool = False
    """Fields the middle language does not know are sent on; the vendor judges them."""


ALWAYS = frozenset(
    [
        "messages",
        "model",
        "max_tokens",
        "max_completion_tokens",
        "stream",
        "stream_options",
        "prompt",
        "input",
        "extra_params",
        "usage_context",
        "client_request_id",
        "databricks_options",
        "user",
        "metadata",
        "instruction",
        "encoding_format",
    ]
)
"""Fields each adapter answers for itself."""

_FLAG_OF_FIELD = {
    "tools": "tools", "functions": "functions", "function_call": "functions", "tool_choice": "tools", "parallel_tool_calls": "parallel_tools",
    "logprobs": "logprobs", "top_logprobs": "logprobs", "stop": "stop", "reasoning_effort": "reasoning", "thinking": "thinking",
    "seed": "seed", "frequency_penalty": "penalties", "presence_penalty": "penalties", "temperature": "temperature", "top_p": "top_p",
    "top_k": "top_k", "logit_bias": "logit_bias", "dimensions": "dimensions",
}  # fmt: skip
_FLAG_OF_CONTENT = {
    "text": None, "refusal": None, "reasoning": None, "image_url": "images", "input_audio": "audio", "audio_url": "audio", "file": "files",
    "document": "files", "video_url": "files",
}  # fmt: skip
_HARMLESS: dict[str, Callable[[Any], bool]] = {
    "logprobs": lambda value: value is False,
    "tool_choice": lambda value: value in ("auto", "none"),
    "tools": lambda value: value == [],
    "functions": lambda value: value == [],
    "stop": lambda value: value == [],
    "frequency_penalty": lambda value: value == 0,
    "presence_penalty": lambda value: value == 0,
    "logit_bias": lambda value: value == {},
}
"""Values that ask for nothing: SDKs send them unasked."""


def require(capabilities: Capabilities, vendor: str, body: Mapping[str, Any]) -> None:
    """Raises InvalidParameterValue that names the first thing in a parsed request which the vendor cannot do. `vendor`: as users call it."""
    for field, flag in _asked(body):
        if flag is None or not getattr(capabilities, flag):
            raise InvalidParameterValue(
                f"{vendor} does not support {field}: leave it out, or use a model of another provider."
                if flag is not None
                else f'Bad request: json: unknown field "{field}". What only {vendor} knows goes into extra_params.'
            )


GOVERNED = frozenset(
    [
        "model",
        "messages",
        "prompt",
        "input",
        "instructions",
        "stream",
        "stream_options",
        "n",
        "max_tokens",
        "max_completion_tokens",
        "max_output_tokens",
        "tools",
        "background",
        "store",
        "conversation",
        "previous_response_id",
        "usage_context",
        "client_request_id",
        "extra_params",
    ]
)
"""What `extra_params` cannot set: rules of the endpoint (limits, guardrails, prices) look at these in the body."""


def extra_params(said: Any, given: Collection[str]) -> dict[str, Any]:
    """The vendor's own parameters of a request. `given`: the request's fields. Raises InvalidParameterValue for one that is not to be set so."""
    if said is None:
        return {}
    if not isinstance(said, Mapping):
        raise InvalidParameterValue("extra_params must be an object of the provider's own parameters.")
    for name in said:
        if name in GOVERNED or name in given:
            raise InvalidParameterValue(f"extra_params cannot set {name}: give it as a field of the request.")
    return dict(said)


def _asked(body: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    """Each thing asked for with the flag it needs."""
    for field, value in body.items():
        if value is None or field in ALWAYS:
            continue
        if field == "n":
            if value != 1:
                yield "n", "n"
                if body.get("stream") is True:
                    yield "n together with stream", "streamed_n"
        elif field == "response_format":
            yield from _response_format(value)
        elif field in _FLAG_OF_FIELD:
            if not _HARMLESS.get(field, lambda _: False)(value):
                yield field, _FLAG_OF_FIELD[field]
                if field == "tool_choice":
                    yield f"tool_choice {value!r}", "tool_choice"
        else:
            yield field, "unknown"
    if body.get("stream") is True:
        yield "stream", "streaming"
    tools = body.get("tools")
    if isinstance(tools, list) and any(isinstance(tool, Mapping) and tool.get("cache_control") for tool in tools):
        yield "cache_control", "cache_control"
    yield from _contents(body.get("messages"))


def _response_format(value: Any) -> Iterator[tuple[str, str | None]]:
    kind = value.get("type") if isinstance(value, Mapping) else value
    if kind != "text":
        yield (
            f"response_format {kind!r}",
            {"json_object": "json_object", "json_schema": "structured_output"}.get(str(kind), "unknown"),
        )


def _contents(messages: Any) -> Iterator[tuple[str, str | None]]:
    for message in messages if isinstance(messages, list) else ():
        if not isinstance(message, Mapping):
            continue
        if message.get("role") in ("system", "developer"):
            yield "system messages", "system"
        if message.get("tool_calls") or message.get("role") == "tool":
            yield "tool calls", "tools"
        for item in message["content"] if isinstance(message.get("content"), list) else ():
            kind = item.get("type") if isinstance(item, Mapping) else None
            flag = _FLAG_OF_CONTENT.get(str(kind), "unknown")
            if flag is not None:
                yield f"content of type {kind!r}", flag
            if isinstance(item, Mapping) and item.get("cache_control"):
                yield "cache_control", "cache_control"
