"""The rows of the conformance matrix: what is asked, what the model says to it, and which capability that takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.fakes.vendor.scene import Said, Scene, ToolCall

from headgate.domain.usage import Usage
from headgate.providers.port import CHAT, COMPLETIONS, EMBEDDINGS

HELLO_BACK = Scene()


@dataclass(frozen=True)
class Case:
    """`needs`: flags of `Capabilities`; a vendor that lacks one must refuse, and say what."""

    body: Mapping[str, Any]
    scene: Scene = HELLO_BACK
    needs: tuple[str, ...] = ()
    task: str = CHAT


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
HELLO = {"role": "user", "content": "Hello?"}
PIXEL = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
_CALL = ToolCall("call_1", "get_weather", '{"city": "Köln"}')
_TWO_CALLS = (_CALL, ToolCall("call_2", "get_weather", '{"city": "Paris"}'))
_SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}


def _asks(**more: Any) -> dict[str, Any]:
    return {"messages": [HELLO], "max_tokens": 100, **more}


def _calls(*calls: ToolCall, text: str = "") -> Scene:
    return Scene((Said(text, calls, finish="tool_calls"),))


def _called(*calls: ToolCall) -> dict[str, Any]:
    functions = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in calls
    ]
    return {"role": "assistant", "content": None, "tool_calls": functions}


CASES: dict[str, Case] = {
    "text": Case(_asks(temperature=0.5)),
    "unicode": Case(
        {"messages": [{"role": "user", "content": "¿Grüße 🦜?\n\t\"\\"}], "max_tokens": 5}, Scene((Said("Süß 🦜 \"so\"\n\\ data: x"),))
    ),
    "content in parts": Case(
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo?"}]}], "max_tokens": 9}
    ),
    "system": Case({"messages": [{"role": "system", "content": "Be brief."}, HELLO], "max_tokens": 9}, needs=("system",)),
    "multi-turn": Case({"messages": [HELLO, {"role": "assistant", "content": "Hi."}, {"role": "user", "content": "And?"}], "max_tokens": 9}),
    "tools": Case(_asks(tools=[WEATHER]), _calls(_CALL), ("tools",)),
    "tools, auto": Case(_asks(tools=[WEATHER], tool_choice="auto"), _calls(_CALL, text="Let me look."), ("tools",)),
    "tools, not called": Case(_asks(tools=[WEATHER], tool_choice="none"), needs=("tools",)),
    "tool required": Case(_asks(tools=[WEATHER], tool_choice="required"), _calls(_CALL), ("tools", "tool_choice")),
    "tool by name": Case(
        _asks(tools=[WEATHER], tool_choice={"type": "function", "function": {"name": "get_weather"}}), _calls(_CALL), ("tools", "tool_choice")
    ),
    "parallel tools": Case(_asks(tools=[WEATHER]), _calls(*_TWO_CALLS), ("tools",)),
    "one tool at a time": Case(_asks(tools=[WEATHER], parallel_tool_calls=False), _calls(_CALL), ("tools", "parallel_tools")),
    "tool results": Case(
        {
            "messages": [
                HELLO,
                _called(*_TWO_CALLS),
                {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
                {"role": "tool", "tool_call_id": "call_2", "content": "sun"},
            ],
            "tools": [WEATHER],
            "max_tokens": 9,
        },
        needs=("tools",),
    ),
    "image": Case(
        {
            "messages": [{"role": "user", "content": [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": PIXEL}}]}],
            "max_tokens": 9,
        },
        needs=("images",),
    ),
    "structured output": Case(
        _asks(response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": _SCHEMA, "strict": True}}),
        Scene((Said('{"a":1}'),)),
        ("structured_output",),
    ),
    "json": Case(_asks(response_format={"type": "json_object"}), Scene((Said('{"a": 1}'),)), ("json_object",)),
    "plain text": Case(_asks(response_format={"type": "text"})),
    "reasoning": Case(
        {"messages": [HELLO], "reasoning_effort": "low", "max_tokens": 4000},
        Scene((Said("42.", reasoning="Six by nine."),), Usage(11, 30, reasoning_tokens=20)),
        ("reasoning",),
    ),
    "stop": Case(_asks(stop=["END", "###"]), needs=("stop",)),
    "one stop": Case(_asks(stop="END"), needs=("stop",)),
    "n": Case(_asks(n=2), Scene((Said("One."), Said("Two.", finish="length"))), ("n",)),
    "n of one": Case(_asks(n=1)),
    "logprobs": Case(_asks(logprobs=True), needs=("logprobs",)),
    "seed": Case(_asks(seed=7), needs=("seed",)),
    "penalties": Case(_asks(frequency_penalty=0.5, presence_penalty=0.5), needs=("penalties",)),
    "top_p": Case(_asks(top_p=0.5), needs=("top_p",)),
    "cached": Case(_asks(), Scene(usage=Usage(1100, 9, cached_tokens=1024))),
    "too long": Case(_asks(), Scene((Said("And so", finish="length"),))),
    "filtered": Case(_asks(), Scene((Said("No", finish="content_filter"),))),
    "completion": Case({"prompt": "Say", "max_tokens": 9}, task=COMPLETIONS),
    "embedding": Case({"input": "word"}, Scene(usage=Usage(3, 0)), task=EMBEDDINGS),
    "embeddings": Case(
        {"input": ["a", "b"]}, Scene(usage=Usage(4, 0), embeddings=((1.0, 0.5), (0.25, -1.0))), task=EMBEDDINGS
    ),
}  # fmt: skip
