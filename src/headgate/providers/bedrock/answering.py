"""Converse's answers and streams in the middle language."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from headgate.domain.usage import Usage
from headgate.providers.bedrock import event_stream
from headgate.providers.bedrock.families import ANSWER_TOOL
from headgate.providers.port import CHAT, Answer, BadAnswer
from headgate.providers.translation import middle

VENDOR = "Amazon Bedrock"

FINISH = {
    "end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "model_context_window_exceeded": "length", "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter", "content_filtered": "content_filter",
}  # fmt: skip

STATUS = {
    "AccessDeniedException": 403, "ThrottlingException": 429, "ModelNotReadyException": 429, "ServiceQuotaExceededException": 429,
    "ResourceNotFoundException": 404, "ModelTimeoutException": 504, "ModelErrorException": 503, "ModelStreamErrorException": 503,
    "InternalServerException": 500, "ServiceUnavailableException": 503, "ValidationException": 400,
    # What is wrong with how we signed: AWS's text quotes what we sent.
    "ExpiredTokenException": 401, "InvalidSignatureException": 401, "UnrecognizedClientException": 401, "MissingAuthenticationTokenException": 401,
    "IncompleteSignatureException": 401, "ExpiredToken": 401, "InvalidClientTokenId": 401, "SignatureDoesNotMatch": 401,
}  # fmt: skip
"""AWS's statuses are not all what they mean: a model that broke is 424, a used-up quota 400."""


def completion(said: Mapping[str, Any], head: middle.Head) -> Answer:
    """An answer as a chat completion, or as a text completion by `head.task`. Raises BadAnswer."""
    try:
        content = said["output"]["message"]["content"]
        items = [item for block in content if (item := _item(block)) is not None]
        uses = [block["toolUse"] for block in content if "toolUse" in block]
        calls = [
            middle.tool_call(use["toolUseId"], use["name"], use["input"]) for use in uses if use["name"] != ANSWER_TOOL
        ]
        used = usage(said["usage"])
        finish = _finish(said["stopReason"], bool(uses) and not calls)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise BadAnswer(f"{VENDOR} answered something other than a message.") from error
    if head.task == CHAT:
        return Answer(head.complete({"message": middle.message(items, calls), "finish_reason": finish}, used), used)
    text = "".join(item["text"] for item in items if item["type"] == "text")
    return Answer(head.complete({"text": text, "finish_reason": finish}, used), used)


def _finish(reason: str, is_structured: bool) -> str:
    """The call that is the answer is no call to the client."""
    return "stop" if is_structured and reason == "tool_use" else FINISH.get(reason, "stop")


def _item(block: Mapping[str, Any]) -> dict[str, Any] | None:
    if "toolUse" in block and block["toolUse"]["name"] == ANSWER_TOOL:
        return {"type": "text", "text": orjson.dumps(block["toolUse"]["input"]).decode()}
    if "text" in block:
        return {"type": "text", "text": block["text"]}
    if "reasoningContent" in block:
        thought = block["reasoningContent"]
        if "redactedContent" in thought:
            return middle.redacted_item(thought["redactedContent"])
        said = thought["reasoningText"]
        return middle.reasoning_item(said["text"], said.get("signature") or "")
    if "citationsContent" in block:
        cited = block["citationsContent"]
        text = "".join(part["text"] for part in cited.get("content") or ())
        return {"type": "text", "text": text, "citations": cited.get("citations") or []}
    return None


def usage(said: Mapping[str, Any]) -> Usage:
    """AWS counts what the cache was read for and written with beside the input; here it is part of it."""
    read, written = said.get("cacheReadInputTokens") or 0, said.get("cacheWriteInputTokens") or 0
    return Usage((said.get("inputTokens") or 0) + read + written, said.get("outputTokens") or 0, read, written)


class Reader(middle.Stream):
    """Converse's binary events as chunks. See `port.StreamReader`."""

    __slots__ = ("_decoder", "_is_structured", "_silent_call", "_stopped")

    def __init__(self, head: middle.Head, include_usage: bool) -> None:
        super().__init__(VENDOR, head, include_usage)
        self._decoder = event_stream.Decoder()
        self._silent_call = False
        """Whether a call of a tool has begun and no arguments of it have come."""
        self._is_structured = False
        """Whether the open call of a tool is the answer."""
        self._stopped = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """The events that are whole now."""
        out: list[bytes] = []
        if self.complete or self.failure is not None:
            return out
        try:
            for message in self._decoder.feed(chunk):
                out += self._event(message)
                if self.complete or self.failure is not None:
                    break
        except event_stream.Garbled as error:
            out += self._failed(503, f"its stream is damaged: {error}")
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, IndexError, ValueError):
            out += self._failed(503, "something came that is not an event of a message")
        return out

    def end(self) -> list[bytes]:
        """The model may have said all it had to say and AWS not yet how much that was."""
        if self._stopped and not self.complete and self.failure is None and not self._decoder.held_bytes:
            return self._done()
        return super().end()

    def _event(self, message: event_stream.Message) -> list[bytes]:
        kind = message.headers.get(":message-type")
        if kind == "error":
            return self._failed(500, message.headers.get(":error-message", ""))
        said = orjson.loads(message.payload or b"{}")
        if kind == "exception":
            name = message.headers.get(":exception-type", "")
            return self._failed(STATUS.get(name[:1].upper() + name[1:], 500), str(said.get("message") or name))
        read = _EVENTS.get(message.headers.get(":event-type", ""))
        return read(self, said) if read is not None else []

    def _block_begins(self, said: Mapping[str, Any]) -> list[bytes]:
        use = said["start"].get("toolUse")
        if use is None:
            return []
        self._is_structured = use["name"] == ANSWER_TOOL
        if self._is_structured:
            return []
        self._silent_call = True
        return [self._call_begins(use["toolUseId"], use["name"])]

    def _block_goes_on(self, said: Mapping[str, Any]) -> list[bytes]:
        delta = said["delta"]
        if "text" in delta:
            return [self._content({"content": delta["text"]})] if delta["text"] else []
        if "toolUse" in delta:
            piece = delta["toolUse"]["input"]
            self._silent_call = self._silent_call and not piece
            if not piece:
                return []
            return [self._content({"content": piece}) if self._is_structured else self._call_goes_on(piece)]
        if "citation" in delta:
            return [self._content({"content": [{"type": "text", "text": "", "citations": [delta["citation"]]}]})]
        thought = delta.get("reasoningContent")
        if thought is None:
            return []
        if "redactedContent" in thought:
            return [self._content({"content": [middle.redacted_item(thought["redactedContent"])]})]
        return [
            self._content(
                {"content": [middle.reasoning_item(thought.get("text") or "", thought.get("signature") or "")]}
            )
        ]

    def _block_ends(self, said: Mapping[str, Any]) -> list[bytes]:
        """A call without arguments has an empty object of them, not an empty text."""
        silent, self._silent_call = self._silent_call, False
        return [self._call_goes_on("{}")] if silent else []

    def _message_ends(self, said: Mapping[str, Any]) -> list[bytes]:
        self._stopped = True
        return [self._head.chunk({}, _finish(said["stopReason"], self._is_structured))]

    def _metadata(self, said: Mapping[str, Any]) -> list[bytes]:
        """The last event; before the model stopped it is none."""
        self.usage = usage(said["usage"])
        return self._done() if self._stopped else []


_EVENTS: dict[str, Callable[[Reader, Mapping[str, Any]], list[bytes]]] = {
    "messageStart": lambda reader, _: [reader._head.chunk({"role": "assistant", "content": ""})],
    "contentBlockStart": Reader._block_begins,
    "contentBlockDelta": Reader._block_goes_on,
    "contentBlockStop": Reader._block_ends,
    "messageStop": Reader._message_ends,
    "metadata": Reader._metadata,
}
