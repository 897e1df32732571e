"""A stream's events joined to the one answer that they make, and how much text a body holds. Pure; asked by the loader.

Knows chat and text completions, OpenAI's Responses and Anthropic's Messages. Of anything else the events are kept as they came, as a list.
"""

from __future__ import annotations

from typing import Any

import orjson

from headgate.domain.usage import Usage
from headgate.wire import sse

MOST_DEPTH = 32
"""Text nested deeper than this is not counted."""


def joined(stream: bytes) -> bytes:
    """One JSON text of a stream of events. What is no event stream is given back as it is."""
    events = _events(stream)
    if not events:
        return stream
    try:
        return orjson.dumps(_answer(events))
    except (RecursionError, TypeError):  # nobody's answer: nested without end, or numbers that JSON cannot tell
        return stream


def request_characters(body: bytes) -> int | None:
    """How many characters of text a request holds; None when it is none of a language model."""
    told = _read(body)
    if not isinstance(told, dict):
        return None
    parts = [told[name] for name in ("messages", "system", "prompt", "input", "instructions") if name in told]
    return sum(map(_characters, parts)) if parts else None


def response_characters(body: bytes) -> int | None:
    """How many characters of text an answer, joined if it was streamed, holds."""
    told = _read(body)
    if not isinstance(told, dict):
        return None
    if isinstance(told.get("choices"), list):
        return sum(
            _characters(choice.get("message", choice.get("text")))
            for choice in told["choices"]
            if isinstance(choice, dict)
        )
    parts = [told[name] for name in ("output", "content") if name in told]
    return sum(map(_characters, parts)) if parts else None


def response_usage(body: bytes) -> Usage | None:
    """What an answer, joined if it was streamed, says of its tokens; for models of our own, whose answers nobody reads on their way."""
    told = _read(body)
    said = told.get("usage") if isinstance(told, dict) else None
    if not isinstance(said, dict):
        return None
    typed, spoken = (
        _number(said, *names) for names in (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"))
    )
    if typed is None and spoken is None:
        return None
    return Usage(typed or 0, spoken or 0)


def _number(said: dict[str, Any], *names: str) -> int | None:
    found = [said[name] for name in names if type(said.get(name)) is int and said[name] >= 0]
    return found[0] if found else None


def _events(stream: bytes) -> list[Any]:
    splitter = sse.Splitter()
    try:
        found = [*splitter.feed(stream), *splitter.end()]
    except sse.NotEvents:
        return []
    return [told for event in found if (told := _read(event.data)) is not None]


def _read(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _answer(events: list[Any]) -> Any:
    objects = [event for event in events if isinstance(event, dict)]
    if len(objects) == len(events):
        if any("choices" in event for event in objects):
            return _completion(objects)
        kinds = {str(event.get("type", "")) for event in objects}
        if "message_start" in kinds:
            return _message(objects)
        if any(kind.startswith(("response.", "responses.")) for kind in kinds):
            return _response(objects)
    return events


def _completion(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Chat or text completion chunks."""
    whole: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    for event in events:
        for name, value in event.items():
            if name == "choices":
                for choice in value if isinstance(value, list) else ():
                    if isinstance(choice, dict):
                        _add_choice(choices.setdefault(_index(choice), {}), choice)
            elif value is not None or name not in whole:
                whole[name] = value
    whole["object"] = str(whole.get("object") or "chat.completion").removesuffix(".chunk")
    whole["choices"] = [choices[index] for index in sorted(choices)]
    return whole


def _add_choice(choice: dict[str, Any], piece: dict[str, Any]) -> None:
    for name, value in piece.items():
        if name == "delta":
            _add(choice.setdefault("message", {}), value if isinstance(value, dict) else {})
        elif name == "text":
            choice["text"] = choice.get("text", "") + str(value or "")
        elif name == "logprobs" and isinstance(value, dict) and isinstance(choice.get(name), dict):
            _add(choice[name], value)
        elif value is not None or name not in choice:
            choice[name] = value


def _add(message: dict[str, Any], delta: dict[str, Any]) -> None:
    """Texts are put together, lists go on (their elements by `index`, where they have one), everything else is replaced."""
    for name, value in delta.items():
        held = message.get(name)
        if isinstance(held, str) and isinstance(value, str) and name not in ("role", "id", "type"):
            message[name] = held + value
        elif isinstance(value, list):
            message[name] = _extended(held if isinstance(held, list) else [], value)
        elif isinstance(held, dict) and isinstance(value, dict):
            _add(held, value)
        elif value is not None or name not in message:
            message[name] = value


def _extended(held: list[Any], pieces: list[Any]) -> list[Any]:
    for piece in pieces:
        same = None
        if isinstance(piece, dict) and "index" in piece:
            same = next((item for item in held if isinstance(item, dict) and item.get("index") == piece["index"]), None)
        if same is None:
            held.append(piece)
        else:
            _add(same, piece)
    return held


def _response(events: list[dict[str, Any]]) -> dict[str, Any]:
    """OpenAI's Responses: the last event holds all of it; agents that send none tell each item."""
    for event in reversed(events):
        if isinstance(event.get("response"), dict) and str(event.get("type")).endswith(
            (".completed", ".incomplete", ".failed")
        ):
            return dict(event["response"])
    whole: dict[str, Any] = {"object": "response", "output": []}
    deltas: list[str] = []
    for event in events:
        if event.get("type") == "response.output_item.done":
            whole["output"].append(event.get("item"))
            deltas.clear()
        elif event.get("type") == "response.output_text.delta":
            deltas.append(str(event.get("delta", "")))
        elif "error" in (event.get("type"), *event):
            whole["error"] = event.get("error", event)
    if deltas:  # it ended early
        whole["output"].append(
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "".join(deltas)}]}
        )
    return whole


def _message(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Anthropic's Messages."""
    whole: dict[str, Any] = {}
    blocks: dict[int, dict[str, Any]] = {}
    inputs: dict[int, str] = {}
    for event in events:
        kind, index = event.get("type"), _index(event)
        delta = _mapping(event, "delta")
        if kind == "message_start":
            whole.update(_mapping(event, "message"))
        elif kind == "content_block_start":
            blocks[index] = dict(_mapping(event, "content_block"))
        elif kind == "content_block_delta" and delta.get("type") == "input_json_delta":
            inputs[index] = inputs.get(index, "") + str(delta.get("partial_json", ""))
        elif kind == "content_block_delta":
            _add(blocks.setdefault(index, {}), {name: value for name, value in delta.items() if name != "type"})
        elif kind == "message_delta":
            whole.update(delta)
            whole["usage"] = {**_mapping(whole, "usage"), **_mapping(event, "usage")}
        elif kind == "error":
            whole["error"] = event.get("error")
    for index, text in inputs.items():
        blocks.setdefault(index, {})["input"] = _read(text.encode()) if text else {}
    whole["content"] = [blocks[index] for index in sorted(blocks)]
    return whole


def _index(piece: dict[str, Any]) -> int:
    found = piece.get("index")
    return found if isinstance(found, int) else 0


def _mapping(piece: dict[str, Any], name: str) -> dict[str, Any]:
    found = piece.get(name)
    return found if isinstance(found, dict) else {}


def _characters(value: Any, depth: int = 0) -> int:
    """Of all texts in messages and contents, whatever form they have; not of their roles, types, ids and pictures."""
    if isinstance(value, str):
        return len(value)
    if depth > MOST_DEPTH:
        return 0
    if isinstance(value, list):
        return sum(_characters(item, depth + 1) for item in value)
    if isinstance(value, dict):
        return sum(_characters(value[name], depth + 1) for name in _TEXTS if name in value)
    return 0


_TEXTS = (
    "content", "text", "input", "output", "arguments", "function", "tool_calls", "summary", "reasoning_content", "thinking",
    "refusal", "message",
)  # fmt: skip
