"""Chunks of a chat completion as events of the Responses API: items one after the other, each begun and ended; calls side by side.

Lines are `data:` only, as everywhere; there is no `[DONE]`: `response.completed` is the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from headgate.errors import HeadgateError
from headgate.wire import sse
from headgate.wire.messages import answering as blocks_of
from headgate.wire.responses import answering, thoughts

_Events = list[dict[str, Any]]


class Writer:
    """One stream. `asked`: the client's request, which every response repeats."""

    def __init__(self, asked: Mapping[str, Any]) -> None:
        self._asked = asked
        self._splitter = sse.Splitter()
        self._number = 0
        self._head: dict[str, Any] | None = None
        self._output: list[dict[str, Any]] = []
        """Items that have begun, in order; those that are over are whole."""
        self._open = ""
        """`message` or `reasoning`, if one is."""
        self._text: list[str] = []
        """Of the open item."""
        self._thought: list[dict[str, Any]] = []
        self._calls: dict[int, int] = {}
        """A call's index -> its place in the output."""
        self._finish: Any = None
        self._usage: Any = None

    def feed(self, events: Iterable[bytes]) -> list[bytes]:
        """What a vendor's reader returned, in this dialect."""
        out: list[bytes] = []
        for came in self._splitter.feed(b"".join(events)):
            if came.data == b"[DONE]":
                out += self._written(self._end())
                continue
            said = orjson.loads(came.data)
            if "error" in said or "error_code" in said:
                out.append(self._error(said))
            else:
                out += self._written(self._chunk(said))
        return out

    def failed(self, error: HeadgateError) -> bytes:
        """The last event of a stream that failed after it began."""
        return self._error(error.body())

    def _written(self, events: _Events) -> list[bytes]:
        written = []
        for said in events:
            written.append(sse.event(orjson.dumps({**said, "sequence_number": self._number})))
            self._number += 1
        return written

    def _error(self, said: Mapping[str, Any]) -> bytes:
        error = said.get("error")
        text = said.get("message") or (error.get("message") if isinstance(error, Mapping) else error) or ""
        code = said.get("error_code") or "INTERNAL_ERROR"
        told = {"message": str(text), "type": str(code).lower(), "code": code}
        event = {"type": "error", "code": code, "message": str(text), "param": None, "error": told, "error_code": code}
        return self._written([event])[0]

    def _chunk(self, said: Mapping[str, Any]) -> _Events:
        out = self._begin(said)
        self._usage = said.get("usage") or self._usage
        for choice in said.get("choices") or ():
            delta = choice.get("delta") or {}
            for block in [*blocks_of.reasoned(delta), *blocks_of.items(delta.get("content"))]:
                out += self._say("output_text", block["text"]) if block["type"] == "text" else self._think(block)
            if delta.get("refusal"):
                out += self._say("refusal", delta["refusal"])
            for call in delta.get("tool_calls") or ():
                out += self._call(call)
            self._finish = choice.get("finish_reason") or self._finish
        return out

    def _begin(self, said: Mapping[str, Any]) -> _Events:
        if self._head is not None:
            return []
        self._head = answering.head(said, self._asked)
        return [{"type": f"response.{name}", "response": self._head} for name in ("created", "in_progress")]

    def _say(self, kind: str, text: str) -> _Events:
        """A piece of text, or of a refusal."""
        out = [] if self._open == kind else self._opened(kind)
        self._text.append(text)
        delta = {"type": f"response.{kind}.delta", **self._place(), "content_index": 0, "delta": text}
        return [*out, delta | ({"logprobs": []} if kind == "output_text" else {})]

    def _think(self, block: dict[str, Any]) -> _Events:
        out = [] if self._open == "reasoning" else self._opened("reasoning")
        last = self._thought[-1] if self._thought else None
        if block["type"] == "thinking" and last is not None and last["type"] == "thinking" and not last["signature"]:
            last["thinking"] += block["thinking"]
            last["signature"] = block["signature"]
        else:
            self._thought.append(dict(block))
        if not block.get("thinking"):
            return out
        self._text.append(block["thinking"])
        delta = {"type": "response.reasoning_summary_text.delta", **self._place(), "summary_index": 0}
        return [*out, {**delta, "delta": block["thinking"]}]

    def _opened(self, kind: str) -> _Events:
        out = self._closed()
        self._open, self._text = kind, []
        own = self._own()
        if kind == "reasoning":
            item: dict[str, Any] = {"id": f"rs_{own}", "type": "reasoning", "summary": [], "status": "in_progress"}
            part: dict[str, Any] = {"type": "summary_text", "text": ""}
            begun: dict[str, Any] = {"type": "response.reasoning_summary_part.added", "summary_index": 0}
        else:
            item = answering.message([], f"msg_{own}") | {"status": "in_progress"}
            part = answering.text_part("") if kind == "output_text" else answering.refusal_part("")
            begun = {"type": "response.content_part.added", "content_index": 0}
        self._output.append(item)
        return [*out, *self._added(item), {**begun, **self._place(), "part": part}]

    def _closed(self) -> _Events:
        kind, self._open = self._open, ""
        if not kind:
            return []
        text, place = "".join(self._text), self._place()
        item_id = str(place["item_id"])
        if kind == "reasoning":
            at, part = {**place, "summary_index": 0}, {"type": "summary_text", "text": text}
            item = thoughts.item(self._thought, item_id)
            self._thought = []
            told = {"type": "response.reasoning_summary_text.done", **at, "text": text}
            ended = {"type": "response.reasoning_summary_part.done", **at, "part": part}
        else:
            at = {**place, "content_index": 0}
            part = answering.text_part(text) if kind == "output_text" else answering.refusal_part(text)
            item = answering.message([part], item_id)
            more: dict[str, Any] = {"text": text, "logprobs": []} if kind == "output_text" else {"refusal": text}
            told = {"type": f"response.{kind}.done", **at, **more}
            ended = {"type": "response.content_part.done", **at, "part": part}
        self._output[-1] = item
        return [told, ended, *self._done(len(self._output) - 1)]

    def _call(self, said: Mapping[str, Any]) -> _Events:
        """A piece of a call."""
        number, function = said.get("index") or 0, said.get("function") or {}
        out: _Events = []
        if number not in self._calls:
            out = self._closed()
            self._calls[number] = len(self._output)
            item = answering.call(said.get("id") or "", function.get("name") or "", "") | {"status": "in_progress"}
            self._output.append(item)
            out += self._added(dict(item))
        item = self._output[self._calls[number]]
        arguments = function.get("arguments") or ""
        if not arguments:
            return out
        item["arguments"] += arguments
        at = {"item_id": item["id"], "output_index": self._calls[number]}
        return [*out, {"type": "response.function_call_arguments.delta", **at, "delta": arguments}]

    def _end(self) -> _Events:
        out = [*self._begin({}), *self._closed()]
        for index in self._calls.values():
            item = self._output[index]
            item |= {"status": "completed", "arguments": item["arguments"] or "{}"}
            at = {"item_id": item["id"], "output_index": index, "name": item["name"]}
            out.append({"type": "response.function_call_arguments.done", **at, "arguments": item["arguments"]})
            out += self._done(index)
        response = answering.whole(self._head or {}, self._output, self._finish, self._usage)
        return [*out, {"type": f"response.{response['status']}", "response": response}]

    def _own(self) -> str:
        """What is new in the id of the next item: several of one kind may come."""
        made = len(self._output)
        answer_id = str((self._head or {}).get("id")).removeprefix("resp_")[:50]
        return f"{answer_id}_{made}" if made else answer_id

    def _place(self) -> dict[str, Any]:
        """Of the open item, which is the last."""
        return {"item_id": self._output[-1]["id"], "output_index": len(self._output) - 1}

    def _added(self, item: Mapping[str, Any]) -> _Events:
        return [{"type": "response.output_item.added", "output_index": len(self._output) - 1, "item": item}]

    def _done(self, index: int) -> _Events:
        return [{"type": "response.output_item.done", "output_index": index, "item": self._output[index]}]
