"""Guardrails on a stream of OpenAI's Responses API, whose events say each text three times: in pieces, when it is done, and in the response."""

from __future__ import annotations

from typing import Any

import orjson

from headgate.guardrails import bodies, deltas
from headgate.guardrails.deltas import Channel
from headgate.guardrails.guard import Guard
from headgate.guardrails.streaming import StreamGuard
from headgate.wire import sse

_PLACES = ("item_id", "output_index", "content_index", "summary_index")
_WHOLE = ("item", "part", "text", "arguments", "refusal", "input", "code", "output")


class ResponsesGuard(StreamGuard):
    """The same for `/responses`. Events are numbered anew."""

    def __init__(self, guard: Guard, request: bytes) -> None:
        super().__init__(guard, bodies.RESPONSES, request)
        self._pieces: dict[Channel, dict[str, Any]] = {}
        self._number = 0

    def _event(self, data: bytes) -> list[bytes]:
        try:
            event = orjson.loads(data)
        except orjson.JSONDecodeError:
            event = None
        if not isinstance(event, dict) or not isinstance(event.get("type"), str):
            return super()._event(data)
        kind = event["type"]
        if kind.endswith(".delta") and isinstance(event.get("delta"), str):
            channel = _channel(event, kind)
            self._pieces[channel] = event
            event = {**event, "delta": self._through(None, channel, event["delta"], over=False)}
            return [self._numbered(event)] if event["delta"] else []
        before: list[bytes] = []
        if kind.endswith(".done"):
            before = self._rest(_channel(event, kind.removesuffix("done") + "delta"))
        elif kind in ("response.completed", "response.incomplete", "response.failed", "error"):
            before = self._flushed(None)
        event = {name: self._whole_tree(value) if name in _WHOLE else value for name, value in event.items()}
        response = event.get("response")
        if isinstance(response, dict) and response.get("output"):
            event["response"] = {**response, "output": self._whole_tree(response["output"])}
        return [*before, self._numbered(event)] if self.refusal is None else before

    def _whole_tree(self, tree: Any) -> Any:
        return deltas.changed(tree, (), lambda _, text: self.whole(text) if text else text)

    def _flushed(self, index: Any) -> list[bytes]:
        return [event for channel in list(self._pieces) for event in self._rest(channel)]

    def _rest(self, channel: Channel) -> list[bytes]:
        window, piece = self._windows.get((None, channel)), self._pieces.get(channel)
        if window is None or piece is None or not window.holds:
            return []
        text = self._through(None, channel, "", over=True)
        return [self._numbered({**piece, "delta": text})] if text and not self._shadow else []

    def _numbered(self, event: dict[str, Any]) -> bytes:
        if "sequence_number" in event:
            event = {**event, "sequence_number": self._number}
            self._number += 1
        return sse.event(orjson.dumps(event))


def _channel(event: dict[str, Any], kind: str) -> Channel:
    place = tuple((name, event[name]) for name in _PLACES if name in event)
    return (kind, place, deltas.ARGUMENTS if "arguments" in kind else "delta")
