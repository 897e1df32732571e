"""Anthropic's messages in the middle language: whole answers and streams."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from headgate.domain.usage import Usage
from headgate.providers.port import Answer, BadAnswer
from headgate.providers.translation import middle
from headgate.wire import sse

VENDOR = "Anthropic"

FINISH = {
    "end_turn": "stop", "stop_sequence": "stop", "pause_turn": "stop", "max_tokens": "length", "model_context_window_exceeded": "length",
    "tool_use": "tool_calls", "refusal": "content_filter",
}  # fmt: skip

STATUS = {
    "invalid_request_error": 400, "authentication_error": 401, "billing_error": 402, "permission_error": 403, "not_found_error": 404,
    "request_too_large": 413, "rate_limit_error": 429, "api_error": 500, "timeout_error": 504, "overloaded_error": 529,
}  # fmt: skip
"""Of errors that come in the middle of a stream, where there is no status any more."""


def completion(said: Mapping[str, Any], created_s: int) -> Answer:
    """A message as a chat completion. Raises BadAnswer."""
    content = said.get("content")
    if said.get("type") != "message" or not isinstance(content, list):
        raise BadAnswer(f"{VENDOR} answered something other than a message.")
    try:
        items = [item for block in content if (item := _item(block)) is not None]
        calls = [middle.tool_call(b["id"], b["name"], b["input"]) for b in content if b["type"] == "tool_use"]
        used = usage(said["usage"])
        head = middle.Head(str(said["id"]), str(said["model"]), created_s)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise BadAnswer(f"{VENDOR} answered a message that cannot be read.") from error
    choice = {
        "message": middle.message(items, calls),
        "finish_reason": FINISH.get(str(said.get("stop_reason")), "stop"),
    }
    return Answer(head.complete(choice, used), used)


def _item(block: Mapping[str, Any]) -> dict[str, Any] | None:
    """A content item, None for what has no place in the middle language (calls stand beside; tools that Anthropic runs itself)."""
    kind = block["type"]
    if kind == "text":
        item = {"type": "text", "text": block["text"]}
        return {**item, "citations": block["citations"]} if block.get("citations") else item
    if kind == "thinking":
        return middle.reasoning_item(block["thinking"], block.get("signature") or "")
    if kind == "redacted_thinking":
        return middle.redacted_item(block["data"])
    return None


def usage(said: Mapping[str, Any]) -> Usage:
    """Anthropic counts what the cache was read for and written with beside the input; here it is part of it."""
    read, written = said.get("cache_read_input_tokens") or 0, said.get("cache_creation_input_tokens") or 0
    return Usage(
        prompt_tokens=(said.get("input_tokens") or 0) + read + written,
        completion_tokens=said.get("output_tokens") or 0,
        cached_tokens=read,
        cache_creation_tokens=written,
        reasoning_tokens=(said.get("output_tokens_details") or {}).get("thinking_tokens") or 0,
    )


class Reader(middle.Stream):
    """Anthropic's events as chunks. See `port.StreamReader`."""

    __slots__ = ("_created_s", "_silent_call", "_splitter", "_used")

    def __init__(self, model: str, created_s: int, include_usage: bool) -> None:
        super().__init__(VENDOR, middle.Head("", model, created_s), include_usage)
        self._created_s = created_s
        self._splitter = sse.Splitter()
        self._used: dict[str, Any] = {}
        self._silent_call = False
        """Whether a call of a tool has begun and no arguments of it have come."""

    def feed(self, chunk: bytes) -> list[bytes]:
        """The events that are whole now."""
        out: list[bytes] = []
        if self.complete or self.failure is not None:
            return out
        try:
            for event in self._splitter.feed(chunk):
                said = orjson.loads(event.data)
                read = _EVENTS.get(said["type"])
                out += read(self, said) if read is not None else []
                if self.complete or self.failure is not None:
                    break
        except (sse.NotEvents, orjson.JSONDecodeError, KeyError, TypeError, AttributeError, IndexError, ValueError):
            out += self._failed(503, "something came that is not an event of a message")
        return out

    def _begin(self, said: Mapping[str, Any]) -> list[bytes]:
        message = said["message"]
        self._head = middle.Head(str(message["id"]), str(message["model"]), self._created_s)
        self._count(message.get("usage"))
        return [self._head.chunk({"role": "assistant", "content": ""})]

    def _count(self, said: Mapping[str, Any] | None) -> None:
        """What is said later is the sum so far, and holds for what it names."""
        self._used |= {name: value for name, value in (said or {}).items() if value is not None}
        self.usage = usage(self._used)

    def _block_begins(self, said: Mapping[str, Any]) -> list[bytes]:
        block = said["content_block"]
        kind = block["type"]
        if kind == "tool_use":
            given = orjson.dumps(block["input"]).decode() if block.get("input") else ""
            self._silent_call = not given
            return [self._call_begins(block["id"], block["name"], given)]
        if kind == "redacted_thinking":
            return [self._content({"content": [middle.redacted_item(block["data"])]})]
        return [self._content({"content": block["text"]})] if kind == "text" and block.get("text") else []

    def _block_goes_on(self, said: Mapping[str, Any]) -> list[bytes]:
        delta = said["delta"]
        kind = delta["type"]
        if kind == "text_delta":
            return [self._content({"content": delta["text"]})]
        if kind == "input_json_delta" and delta["partial_json"]:
            self._silent_call = False
            return [self._call_goes_on(delta["partial_json"])]
        if kind == "thinking_delta":
            return [self._content({"content": [middle.reasoning_item(delta["thinking"])]})]
        if kind == "signature_delta":
            return [self._content({"content": [middle.reasoning_item("", delta["signature"])]})]
        if kind == "citations_delta":
            return [self._content({"content": [{"type": "text", "text": "", "citations": [delta["citation"]]}]})]
        return []

    def _block_ends(self, said: Mapping[str, Any]) -> list[bytes]:
        """A call without arguments has an empty object of them, not an empty text."""
        silent, self._silent_call = self._silent_call, False
        return [self._call_goes_on("{}")] if silent else []

    def _message_ends(self, said: Mapping[str, Any]) -> list[bytes]:
        self._count(said.get("usage"))
        reason = said["delta"].get("stop_reason")
        return [self._head.chunk({}, FINISH.get(str(reason), "stop"))] if reason else []

    def _vendor_failed(self, said: Mapping[str, Any]) -> list[bytes]:
        error = said["error"]
        return self._failed(STATUS.get(error.get("type"), 500), str(error.get("message") or ""))


_EVENTS: dict[Any, Callable[[Reader, Mapping[str, Any]], list[bytes]]] = {
    "message_start": Reader._begin,
    "content_block_start": Reader._block_begins,
    "content_block_delta": Reader._block_goes_on,
    "content_block_stop": Reader._block_ends,
    "message_delta": Reader._message_ends,
    "message_stop": lambda reader, _: reader._done(),
    "error": Reader._vendor_failed,
}
