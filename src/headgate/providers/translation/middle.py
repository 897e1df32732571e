"""The middle language as translating adapters read and write it: requests as dicts, answers and chunks as bytes.

Asked by the adapters of vendors whose dialect is not OpenAI's; OpenAI-compatible ones send bytes on and do not need it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from headgate.domain.usage import Usage
from headgate.errors import InvalidParameterValue, MalformedRequest
from headgate.providers import capabilities, failures
from headgate.providers.port import CHAT, BadAnswer, Request, VendorFailure
from headgate.wire import sse


def parsed(request: Request) -> Mapping[str, Any]:
    """The request's body. Raises MalformedRequest when it is no JSON object."""
    if not isinstance(request.body, bytes):
        return request.body
    try:
        said = orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        raise MalformedRequest(f"The request body is not valid JSON: {error}") from error
    if not isinstance(said, dict):
        raise MalformedRequest("The request body is not a JSON object.")
    return said


def answered(vendor: str, body: bytes) -> dict[str, Any]:
    """The object a vendor answered with. Raises BadAnswer."""
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadAnswer(f"{vendor} answered something other than JSON.") from error
    if not isinstance(said, dict):
        raise BadAnswer(f"{vendor} answered something other than an object.")
    return said


def with_extra(vendor_body: dict[str, Any], request: Mapping[str, Any], governed: Collection[str]) -> dict[str, Any]:
    """The vendor's request with `extra_params` over it. `governed`: what in this vendor's dialect rules of the endpoint look at elsewhere."""
    extra = capabilities.extra_params(request.get("extra_params"), request)
    for name in extra:
        if name in governed:
            raise InvalidParameterValue(f"extra_params cannot set {name}: give it as a field of the request.")
    return merged(vendor_body, extra) if extra else vendor_body


def merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Both objects in one; of members in both, objects are merged likewise and everything else is the newer."""
    both = dict(old)
    for name, value in new.items():
        before = both.get(name)
        both[name] = merged(before, value) if isinstance(before, Mapping) and isinstance(value, Mapping) else value
    return both


def stop_sequences(body: Mapping[str, Any]) -> list[str]:
    """`stop` as a list."""
    stop = body.get("stop")
    found = [stop] if isinstance(stop, str) else stop or []
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise InvalidParameterValue("stop must be text or a list of texts.")
    return found


def most_tokens(body: Mapping[str, Any]) -> int | None:
    """`max_completion_tokens` or `max_tokens`."""
    for name in ("max_completion_tokens", "max_tokens"):
        value = body.get(name)
        if value is not None:
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise InvalidParameterValue(f"{name} must be a whole number of at least 1.")
            return value
    return None


def usage_object(usage: Usage) -> dict[str, Any]:
    """`usage` as OpenAI's and Databricks' clients read it: cached tokens under both names."""
    said: dict[str, Any] = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }
    if usage.cached_tokens or usage.cache_creation_tokens:
        said["prompt_tokens_details"] = {"cached_tokens": usage.cached_tokens}
        said["cache_read_input_tokens"] = usage.cached_tokens
        said["cache_creation_input_tokens"] = usage.cache_creation_tokens
    if usage.reasoning_tokens:
        said["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return said


@dataclass(frozen=True, slots=True)
class Head:
    """What every object of one answer begins with. `created_s`: whole seconds. `task`: of the port."""

    answer_id: str
    model: str
    created_s: int
    task: str = CHAT

    def complete(self, choice: Mapping[str, Any], usage: Usage | None) -> bytes:
        """The whole answer: `{"message", "finish_reason"}` of a chat, `{"text", "finish_reason"}` of completions."""
        return self.complete_all([choice], usage)

    def complete_all(self, choices: Sequence[Mapping[str, Any]], usage: Usage | None) -> bytes:
        """The whole answer of a vendor that gives several, or `logprobs`, or indexes of its own."""
        kind = "chat.completion" if self.task == CHAT else "text_completion"
        said = self._object(kind, [{"index": at, "logprobs": None, **choice} for at, choice in enumerate(choices)])
        if usage is not None:
            said["usage"] = usage_object(usage)
        return orjson.dumps(said)

    def chunk(self, delta: Mapping[str, Any], finish_reason: str | None = None, **more: Any) -> bytes:
        """One event of a stream. Completions show the text of `delta`'s content. `more`: `index` and `logprobs` of vendors that have them."""
        if self.task == CHAT:
            choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None, **more}
            return sse.event(orjson.dumps(self._object("chat.completion.chunk", [choice])))
        text = {"index": 0, "text": delta.get("content") or "", "finish_reason": finish_reason, "logprobs": None}
        return sse.event(orjson.dumps(self._object("text_completion", [text])))

    def last(self, usage: Usage) -> bytes:
        """The event without choices that says what was used."""
        kind = "chat.completion.chunk" if self.task == CHAT else "text_completion"
        return sse.event(orjson.dumps({**self._object(kind, []), "usage": usage_object(usage)}))

    def _object(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self.answer_id,
            "object": kind,
            "created": self.created_s,
            "model": self.model,
            "choices": choices,
        }


class Stream:
    """What the readers of translated streams share: the end, the failure, and pieces of tool calls. See `port.StreamReader`."""

    __slots__ = ("_calls", "_head", "_include_usage", "_vendor", "complete", "failure", "first_content", "usage")

    def __init__(self, vendor: str, head: Head, include_usage: bool) -> None:
        self._vendor = vendor
        self._head = head
        self._include_usage = include_usage
        self._calls = -1
        self.usage: Usage | None = None
        self.complete = False
        self.first_content = False
        self.failure: VendorFailure | None = None

    def end(self) -> list[bytes]:
        """See the port. `[DONE]` was said when the vendor said that it was done."""
        if self.complete or self.failure is not None:
            return []
        return self._failed(503, "the stream ended before the answer was complete")

    def _done(self) -> list[bytes]:
        """The vendor said that it was done."""
        self.complete = True
        return [self._head.last(self.usage), sse.DONE] if self._include_usage and self.usage is not None else [sse.DONE]

    def _content(self, delta: Mapping[str, Any]) -> bytes:
        self.first_content = True
        return self._head.chunk(delta)

    def _call_begins(self, call_id: str, name: str, arguments: str = "") -> bytes:
        self._calls += 1
        function = {"name": name, "arguments": arguments}
        return self._content(
            {"tool_calls": [{"index": self._calls, "id": call_id, "type": "function", "function": function}]}
        )

    def _call_goes_on(self, arguments: str) -> bytes:
        return self._content({"tool_calls": [{"index": self._calls, "function": {"arguments": arguments}}]})

    def _failed(self, status: int, message: str) -> list[bytes]:
        """The stream is over, and not well: the last event."""
        self.failure = failures.failure(self._vendor, status, {}, message)
        return [sse.error_event(failures.error(self.failure))]


def reasoning_item(text: str, signature: str = "") -> dict[str, Any]:
    """Thought in Databricks' shape."""
    part = {"type": "summary_text", "text": text}
    return {"type": "reasoning", "summary": [{**part, "signature": signature} if signature else part]}


def redacted_item(data: str) -> dict[str, Any]:
    """Thought that only the vendor can read, in Databricks' shape."""
    return {"type": "reasoning", "summary": [{"type": "summary_encrypted_text", "data": data}]}


def message(items: list[dict[str, Any]], calls: list[dict[str, Any]]) -> dict[str, Any]:
    """The assistant's message: text alone is one string, a list where there is more, null where there is none."""
    plain = all(item.keys() == {"type", "text"} for item in items)
    content = "".join(item["text"] for item in items) if plain else items
    said: dict[str, Any] = {"role": "assistant", "content": content or None}
    if calls:
        said["tool_calls"] = calls
    elif not items:
        said["content"] = ""
    return said


def tool_call(call_id: str, name: str, arguments: Any) -> dict[str, Any]:
    """One call of a function in an answer."""
    return {
        "id": call_id,
        "type": "function",
        "function": {"name": name, "arguments": orjson.dumps(arguments).decode()},
    }
