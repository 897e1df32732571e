"""Cohere's messages in the middle language: whole answers and streams."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from headgate.domain.usage import Usage
from headgate.providers.cohere.asking import VENDOR
from headgate.providers.port import Answer, BadAnswer
from headgate.providers.translation import middle
from headgate.wire import sse

FINISH = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR_TOXIC": "content_filter",
}
BROKEN = {"ERROR": 500, "TIMEOUT": 504}
"""Reasons to finish that are failures, and as which."""


def completion(model: str, said: Mapping[str, Any], created_s: int) -> Answer:
    """A message as a chat completion. Raises BadAnswer."""
    reason = str(said.get("finish_reason"))
    if reason in BROKEN:
        raise BadAnswer(f"{VENDOR} did not finish its answer ({reason}).")
    try:
        message = said["message"]
        items = [_item(block) for block in message.get("content") or ()]
        if message.get("tool_plan"):
            items.insert(0, {"type": "text", "text": message["tool_plan"]})
        calls = [_call(call) for call in message.get("tool_calls") or ()]
        told = middle.message(items, calls)
        if message.get("citations"):
            told["citations"] = message["citations"]
        used = usage(said["usage"]) if said.get("usage") else None
        head = middle.Head(str(said["id"]), model, created_s)
        choice: dict[str, Any] = {"message": told, "finish_reason": FINISH.get(reason, "stop")}
        if said.get("logprobs"):
            choice["logprobs"] = {"content": [_logprob(one) for one in said["logprobs"]], "refusal": None}
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise BadAnswer(f"{VENDOR} answered a message that cannot be read.") from error
    return Answer(head.complete_all([choice], used), used)


def _item(block: Mapping[str, Any]) -> dict[str, Any]:
    if block["type"] == "thinking":
        return middle.reasoning_item(block["thinking"])
    return {"type": "text", "text": block["text"]}


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call["function"]
    said = {"name": function["name"], "arguments": function.get("arguments") or "{}"}
    return {"id": call["id"], "type": "function", "function": said}


def _logprob(said: Mapping[str, Any]) -> dict[str, Any]:
    """Cohere's unit is a piece of text of one token or more: its probability is that of all of them."""
    text = said.get("text") or ""
    return {"token": text, "logprob": sum(said.get("logprobs") or ()), "bytes": list(text.encode()), "top_logprobs": []}


def usage(said: Mapping[str, Any]) -> Usage:
    """What Cohere bills; where it does not say, what the model read and wrote (which has its own marks in it)."""
    counted = said.get("billed_units") or said.get("tokens") or {}
    read = int(counted.get("input_tokens") or 0)
    return Usage(
        prompt_tokens=read,
        completion_tokens=int(counted.get("output_tokens") or 0),
        cached_tokens=min(int(said.get("cached_tokens") or 0), read),
    )


class Reader(middle.Stream):
    """Cohere's events as chunks. See `port.StreamReader`."""

    __slots__ = ("_created_s", "_model", "_silent_call", "_splitter")

    def __init__(self, model: str, created_s: int, include_usage: bool) -> None:
        super().__init__(VENDOR, middle.Head("", model, created_s), include_usage)
        self._model = model
        self._created_s = created_s
        self._splitter = sse.Splitter()
        self._silent_call = False
        """Whether a call has begun and no arguments of it have come."""

    def feed(self, chunk: bytes) -> list[bytes]:
        """The events that are whole now."""
        out: list[bytes] = []
        if self.complete or self.failure is not None:
            return out
        try:
            for event in self._splitter.feed(chunk):
                said = orjson.loads(event.data)
                if "type" not in said:
                    # How Cohere says that it gave up: an error's body in the place of an event.
                    return [*out, *self._failed(500, str(said["message"]))]
                read = _EVENTS.get(said["type"])
                out += read(self, said) if read is not None else []
                if self.complete or self.failure is not None:
                    break
        except (sse.NotEvents, orjson.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError, IndexError):
            out += self._failed(503, "something came that is not an event of a message")
        return out

    def _begin(self, said: Mapping[str, Any]) -> list[bytes]:
        self._head = middle.Head(str(said["id"]), self._model, self._created_s)
        return [self._head.chunk({"role": "assistant", "content": ""})]

    def _content_goes_on(self, said: Mapping[str, Any]) -> list[bytes]:
        content = said["delta"]["message"]["content"]
        probabilities = {"content": [_logprob(said["logprobs"])], "refusal": None} if said.get("logprobs") else None
        if content.get("thinking"):
            return [self._content({"content": [middle.reasoning_item(content["thinking"])]})]
        if not content.get("text"):
            return []
        self.first_content = True
        return [self._head.chunk({"content": str(content["text"])}, logprobs=probabilities)]

    def _plan_goes_on(self, said: Mapping[str, Any]) -> list[bytes]:
        text = said["delta"]["message"]["tool_plan"]
        return [self._content({"content": str(text)})] if text else []

    def _call_starts(self, said: Mapping[str, Any]) -> list[bytes]:
        call = said["delta"]["message"]["tool_calls"]
        arguments = call["function"].get("arguments") or ""
        self._silent_call = not arguments
        return [self._call_begins(call["id"], call["function"]["name"], arguments)]

    def _call_delta(self, said: Mapping[str, Any]) -> list[bytes]:
        arguments = said["delta"]["message"]["tool_calls"]["function"].get("arguments")
        if not arguments:
            return []
        self._silent_call = False
        return [self._call_goes_on(arguments)]

    def _call_ends(self, said: Mapping[str, Any]) -> list[bytes]:
        """A call without arguments has an empty object of them, not an empty text."""
        silent, self._silent_call = self._silent_call, False
        return [self._call_goes_on("{}")] if silent else []

    def _cites(self, said: Mapping[str, Any]) -> list[bytes]:
        return [self._content({"citations": [said["delta"]["message"]["citations"]]})]

    def _message_ends(self, said: Mapping[str, Any]) -> list[bytes]:
        delta = said["delta"]
        if delta.get("usage"):
            self.usage = usage(delta["usage"])
        reason = str(delta.get("finish_reason"))
        if reason in BROKEN or delta.get("error"):
            return self._failed(BROKEN.get(reason, 500), str(delta.get("error") or f"it did not finish ({reason})"))
        return [self._head.chunk({}, FINISH.get(reason, "stop")), *self._done()]


_EVENTS: dict[Any, Callable[[Reader, Mapping[str, Any]], list[bytes]]] = {
    "message-start": Reader._begin,
    "content-start": Reader._content_goes_on,
    "content-delta": Reader._content_goes_on,
    "tool-plan-delta": Reader._plan_goes_on,
    "tool-call-start": Reader._call_starts,
    "tool-call-delta": Reader._call_delta,
    "tool-call-end": Reader._call_ends,
    "citation-start": Reader._cites,
    "message-end": Reader._message_ends,
}
