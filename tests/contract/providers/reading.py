"""The middle language read back into scenes: whole answers, and streams put together as a client would."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
from tests.fakes.vendor.scene import Said, ToolCall

from headgate.domain.usage import Usage
from headgate.providers.usage import usage_of

DONE = b"data: [DONE]\n\n"


def payload(event: bytes) -> dict[str, Any]:
    """The JSON of one event, which is one `data:` line and nothing else."""
    assert event.startswith(b"data: ") and event.endswith(b"\n\n") and event.count(b"\n") == 2, event
    return dict(orjson.loads(event[6:]))


def events(pieces: Iterable[bytes]) -> list[bytes]:
    """What a stream reader returned, an event each: one piece may hold several."""
    return [block + b"\n\n" for block in b"".join(pieces).split(b"\n\n") if block]


def said(answer: dict[str, Any]) -> list[Said]:
    """The choices of a whole chat or completions answer."""
    choices = sorted(answer["choices"], key=lambda choice: choice["index"])
    return [_said(choice.get("message") or {"content": choice["text"]}, choice["finish_reason"]) for choice in choices]


def streamed(chunks: Iterable[dict[str, Any]]) -> list[Said]:
    """The choices of a stream, put together."""
    choices: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        for choice in chunk["choices"]:
            so_far = choices.setdefault(choice["index"], {"content": [], "calls": {}, "finish": None, "done": 0})
            delta = choice.get("delta", {"content": choice.get("text")})
            so_far["content"] += _items(delta.get("content"))
            for call in delta.get("tool_calls") or ():
                known = so_far["calls"].setdefault(call["index"], {"id": "", "name": "", "arguments": ""})
                known["id"] = call.get("id") or known["id"]
                function = call.get("function") or {}
                known["name"] = function.get("name") or known["name"]
                known["arguments"] += function.get("arguments") or ""
            if choice.get("finish_reason"):
                assert so_far["finish"] is None, "finished twice"
                so_far["finish"] = choice["finish_reason"]
    return [
        Said(
            _text(one["content"]),
            tuple(ToolCall(**call) for _, call in sorted(one["calls"].items())),
            _reasoning(one["content"]),
            one["finish"],
        )
        for _, one in sorted(choices.items())
    ]


def usage(answer: dict[str, Any]) -> Usage | None:
    """What an answer or a chunk says was used."""
    return usage_of(answer.get("usage"))


def _said(message: dict[str, Any], finish: str) -> Said:
    calls = tuple(
        ToolCall(call["id"], call["function"]["name"], call["function"]["arguments"])
        for call in message.get("tool_calls") or ()
    )
    content = _items(message.get("content"))
    return Said(_text(content), calls, _reasoning(content), finish)


def _items(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return list(content or ())


def _text(content: list[dict[str, Any]]) -> str:
    return "".join(item["text"] for item in content if item["type"] == "text")


def _reasoning(content: list[dict[str, Any]]) -> str:
    return "".join(
        part.get("text", "") for item in content if item["type"] == "reasoning" for part in item.get("summary", ())
    )
