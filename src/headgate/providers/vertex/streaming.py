"""Gemini's stream as chunks: each of its events is a whole response with the parts that are new. It has no last word; see `end`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from headgate.providers import failures
from headgate.providers.translation import middle
from headgate.providers.vertex import answering, refusing
from headgate.wire import sse


class Reader(middle.Stream):
    """See `port.StreamReader`. Complete when the stream is over and each candidate that began has its reason to finish."""

    __slots__ = ("_begun", "_created_s", "_finished", "_model", "_splitter", "_tellers")

    def __init__(self, model: str, created_s: int, include_usage: bool) -> None:
        super().__init__(refusing.VENDOR, middle.Head("", model, created_s), include_usage)
        self._model = model
        self._created_s = created_s
        self._splitter = sse.Splitter()
        self._tellers: dict[int, answering.Teller] = {}
        self._finished: set[int] = set()
        self._begun = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """The events that are whole now."""
        if self.complete or self.failure is not None:
            return []
        try:
            events = self._splitter.feed(chunk)
        except sse.NotEvents:
            return self._failed(503, "something came that is not a stream of events")
        return self._told(events)

    def end(self) -> list[bytes]:
        """The last event may have come without the empty line after it."""
        if self.complete or self.failure is not None:
            return []
        left = [event for event in self._splitter.end() if _is_json(event.data)]
        out = self._told(left)
        if self.failure is not None:
            return out
        if self._finished and self._finished == self._tellers.keys():
            return [*out, *self._done()]
        return [*out, *super().end()]

    def _told(self, events: list[sse.Event]) -> list[bytes]:
        out: list[bytes] = []
        try:
            for event in events:
                out += self._response(orjson.loads(event.data))
                if self.failure is not None:
                    break
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError, IndexError):
            out += self._failed(503, "something came that is not a response of Gemini's")
        return out

    def _response(self, said: Any) -> list[bytes]:
        error = refusing.error_of(said)
        if error:
            self.failure = refusing.in_stream(error)
            return [sse.error_event(failures.error(self.failure))]
        if not self._begun:
            self._begun = True
            self._head = answering.head_of(said, self._model, self._created_s)
        if said.get("usageMetadata"):
            self.usage = answering.usage(said["usageMetadata"])
        out: list[bytes] = []
        for candidate in said.get("candidates") or ():
            # Google leaves an index of 0 out.
            out += self._candidate(int(candidate.get("index") or 0), candidate)
            if self.failure is not None:
                return out
        refused = answering.blocked(said)
        if refused is not None and not self._tellers:
            self._tellers[0] = answering.Teller(0, self._head.answer_id)
            self._finished.add(0)
            out.append(self._head.chunk({"role": "assistant", "content": "", "refusal": refused}, "content_filter"))
        return out

    def _candidate(self, index: int, candidate: Mapping[str, Any]) -> list[bytes]:
        out: list[bytes] = []
        teller = self._tellers.get(index)
        if teller is None:
            teller = self._tellers[index] = answering.Teller(index, self._head.answer_id)
            out.append(self._head.chunk({"role": "assistant", "content": ""}, index=index))
        probabilities = answering.logprobs(candidate)
        for part in answering.parts_of(candidate):
            for delta in self._deltas(teller, part):
                self.first_content = True
                out.append(self._head.chunk(delta, index=index, logprobs=probabilities))
                probabilities = None
        wrong = answering.broken(candidate)
        if wrong:
            return [*out, *self._failed(503, wrong)]
        reason = candidate.get("finishReason")
        if reason and reason != "FINISH_REASON_UNSPECIFIED" and index not in self._finished:
            self._finished.add(index)
            finish = answering.finish(str(reason), teller.calls > 0)
            out.append(self._head.chunk({}, finish, index=index, logprobs=probabilities))
        return out

    def _deltas(self, teller: answering.Teller, part: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Text alone is text, everything else a list of one item."""
        deltas: list[dict[str, Any]] = [
            {"content": item["text"] if item["type"] == "text" else [item]} for item in teller.items(part)
        ]
        if part.get("functionCall"):
            number = teller.calls
            deltas.append({"tool_calls": [{"index": number, **teller.call(part)}]})
        return deltas


def _is_json(data: bytes) -> bool:
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return True
