"""Chunks of a chat completion as Anthropic's events, in its order: blocks one after the other, each begun and ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from headgate.errors import HeadgateError
from headgate.wire import sse
from headgate.wire.messages import answering

_ERROR_TYPES = {
    "BAD_REQUEST": "invalid_request_error",
    "INVALID_PARAMETER_VALUE": "invalid_request_error",
    "UNAUTHENTICATED": "authentication_error",
    "PERMISSION_DENIED": "permission_error",
    "NOT_FOUND": "not_found_error",
    "REQUEST_LIMIT_EXCEEDED": "rate_limit_error",
    "TEMPORARILY_UNAVAILABLE": "overloaded_error",
    "DEADLINE_EXCEEDED": "timeout_error",
}


def event(said: Mapping[str, Any]) -> bytes:
    """One event as Anthropic frames it: its clients need the name."""
    return b"event: %b\ndata: %b\n\n" % (said["type"].encode(), orjson.dumps(said))


def error_event(said: Mapping[str, Any]) -> bytes:
    """An error in the middle of a stream: `error` for Anthropic's clients, `error_code` and `message` as everywhere."""
    code, text = str(said.get("error_code") or "INTERNAL_ERROR"), str(said.get("message") or "")
    error = {"type": _ERROR_TYPES.get(code, "api_error"), "message": text}
    return event({"type": "error", "error": error, "error_code": code, "message": text})


def failed(error: HeadgateError) -> bytes:
    """The last event of a stream that failed after it began."""
    return error_event(error.body())


class Writer:
    """One stream. Calls of tools but the first are held until it is known that nothing more comes of the one before."""

    def __init__(self) -> None:
        self._splitter = sse.Splitter()
        self._begun = False
        self._index = -1
        self._open = ""
        """The type of the block that is open."""
        self._live: int | None = None
        """The call whose block is open."""
        self._waiting: dict[int, dict[str, str]] = {}
        self._finish: Any = None
        self._called = False
        self._usage: Any = None

    def feed(self, events: Iterable[bytes]) -> list[bytes]:
        """What a vendor's reader returned, in Anthropic's dialect."""
        out: list[dict[str, Any]] = []
        written: list[bytes] = []
        for came in self._splitter.feed(b"".join(events)):
            if came.data == b"[DONE]":
                out += self._end()
                continue
            said = orjson.loads(came.data)
            if "error" in said or "error_code" in said:
                written += [*map(event, out), error_event(_flat(said))]
                out = []
                continue
            out += self._chunk(said)
        return [*written, *map(event, out)]

    def _chunk(self, said: Mapping[str, Any]) -> list[dict[str, Any]]:
        out = self._begin(said)
        self._usage = said.get("usage") or self._usage
        for choice in said.get("choices") or ():
            delta = choice.get("delta") or {}
            for block in [*answering.reasoned(delta), *_pieces(delta)]:
                out += self._piece(block)
            for call in delta.get("tool_calls") or ():
                out += self._call(call)
            self._finish = choice.get("finish_reason") or self._finish
        return out

    def _begin(self, said: Mapping[str, Any]) -> list[dict[str, Any]]:
        if self._begun:
            return []
        self._begun = True
        message = {
            **answering.head(said),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": answering.usage(None),
        }
        return [{"type": "message_start", "message": message}]

    def _piece(self, block: Mapping[str, Any]) -> list[dict[str, Any]]:
        """A piece of text or of thought."""
        kind = block["type"]
        out = self._flushed() if self._waiting else []
        if kind == "redacted_thinking":
            return [*out, *self._opened(block), *self._closed()]
        if kind == "text":
            out += [] if self._open == "text" else self._opened({"type": "text", "text": ""})
            if block["text"]:
                out.append(self._delta({"type": "text_delta", "text": block["text"]}))
            return out + [
                self._delta({"type": "citations_delta", "citation": one}) for one in block.get("citations") or ()
            ]
        out += [] if self._open == "thinking" else self._opened({"type": "thinking", "thinking": "", "signature": ""})
        if block["thinking"]:
            out.append(self._delta({"type": "thinking_delta", "thinking": block["thinking"]}))
        if block["signature"]:
            # A signature ends a thought: the next one begins a block of its own.
            out += [self._delta({"type": "signature_delta", "signature": block["signature"]}), *self._closed()]
        return out

    def _call(self, call: Mapping[str, Any]) -> list[dict[str, Any]]:
        """A piece of a call: sent if it is of the open one, else kept."""
        self._called = True
        number, function = call.get("index") or 0, call.get("function") or {}
        name, arguments = function.get("name") or "", function.get("arguments") or ""
        if self._live == number:
            return [self._delta({"type": "input_json_delta", "partial_json": arguments})] if arguments else []
        if self._live is None and name:
            opened = self._opened({"type": "tool_use", "id": call.get("id") or "", "name": name, "input": {}})
            self._live = number
            return opened + (
                [self._delta({"type": "input_json_delta", "partial_json": arguments})] if arguments else []
            )
        kept = self._waiting.setdefault(number, {"id": "", "name": "", "arguments": ""})
        kept["id"] = kept["id"] or call.get("id") or ""
        kept["name"] = kept["name"] or name
        kept["arguments"] += arguments
        return []

    def _flushed(self) -> list[dict[str, Any]]:
        """The calls that waited, whole."""
        out: list[dict[str, Any]] = []
        for _, kept in sorted(self._waiting.items()):
            out += self._opened({"type": "tool_use", "id": kept["id"], "name": kept["name"], "input": {}})
            out.append(self._delta({"type": "input_json_delta", "partial_json": kept["arguments"]}))
        self._waiting.clear()
        return out

    def _end(self) -> list[dict[str, Any]]:
        reason = answering.stop_reason(self._finish, self._called)
        last = {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": None},
            "usage": answering.usage(self._usage),
        }
        return [*self._begin({}), *self._flushed(), *self._closed(), last, {"type": "message_stop"}]

    def _opened(self, block: Mapping[str, Any]) -> list[dict[str, Any]]:
        closed = self._closed()
        self._index += 1
        self._open = block["type"]
        return [*closed, {"type": "content_block_start", "index": self._index, "content_block": block}]

    def _closed(self) -> list[dict[str, Any]]:
        if not self._open:
            return []
        self._open = ""
        self._live = None
        return [{"type": "content_block_stop", "index": self._index}]

    def _delta(self, delta: Mapping[str, Any]) -> dict[str, Any]:
        return {"type": "content_block_delta", "index": self._index, "delta": delta}


def _pieces(delta: Mapping[str, Any]) -> list[dict[str, Any]]:
    refused = delta.get("refusal")
    return [*answering.items(delta.get("content")), *([{"type": "text", "text": refused}] if refused else [])]


def _flat(said: Mapping[str, Any]) -> Mapping[str, Any]:
    """Our own errors have both shapes; those that a vendor of OpenAI's dialect sent on its own have only `error`."""
    error = said.get("error")
    if said.get("error_code") or not isinstance(error, Mapping):
        return said
    return {"error_code": "INTERNAL_ERROR", "message": error.get("message")}
