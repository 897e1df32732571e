"""A Messages request to Anthropic itself: the client's bytes go through, only `model` and credentials change; events come back as they are.

Asked by the gateway on `/anthropic/v1/messages` when the entity is Anthropic's. For all other vendors see `wire.messages`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from headgate.domain.usage import Usage
from headgate.errors import InvalidParameterValue
from headgate.providers import failures
from headgate.providers.anthropic import answering, vendor
from headgate.providers.port import Answer, BadAnswer, Outgoing, Request, Target, VendorFailure
from headgate.providers.translation import middle
from headgate.wire import json_members, sse
from headgate.wire.messages import streaming

_OURS = ("usage_context", "client_request_id", "databricks_options")
_OF_THE_ACCOUNT = ("container", "user_profile_id", "workspace_id")
"""All callers of an endpoint are one account to Anthropic: these would let one have what is another's."""


def prepare(target: Target, request: Request, headers: Mapping[bytes, bytes]) -> Outgoing:
    """The client's message with the entity's model and key. `headers`: the client's, lower case, of which `anthropic-version` and `anthropic-beta` go on."""
    body = request.body if isinstance(request.body, bytes) else orjson.dumps(request.body)
    said = middle.parsed(Request(body))
    for name in _OF_THE_ACCOUNT:
        if said.get(name):
            raise InvalidParameterValue(
                f"{name} is not supported: all callers of an endpoint are one account to Anthropic."
            )
    values = {"model": orjson.dumps(target.model)}
    if request.stream != bool(said.get("stream")):
        values["stream"] = b"true" if request.stream else b"false"
    version = headers.get(b"anthropic-version") or vendor.VERSION
    return vendor.post(target, json_members.edited(body, values, _OURS), version, headers.get(b"anthropic-beta", b""))


def answer(body: bytes) -> Answer:
    """The vendor's bytes as they are, and what was used. Raises BadAnswer."""
    said = middle.answered(answering.VENDOR, body)
    used = said.get("usage")
    try:
        return Answer(body, answering.usage(used) if isinstance(used, Mapping) else None)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadAnswer(f"{answering.VENDOR} answered with something that is not a message.") from error


class Reader:
    """A stream of Anthropic's passed on event by event, its usage, end and failure noticed. The shape of `port.StreamReader`."""

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.complete = False
        self.first_content = False
        self.failure: VendorFailure | None = None
        self._splitter = sse.Splitter()
        self._used: dict[str, Any] = {}

    def feed(self, chunk: bytes) -> list[bytes]:
        """The events that are whole now, framed as Anthropic frames them."""
        out: list[bytes] = []
        if self.complete or self.failure is not None:
            return out
        try:
            for event in self._splitter.feed(chunk):
                self._look(event)
                name = event.name or orjson.loads(event.data)["type"].encode()
                out.append(b"event: %b\n%b" % (name, sse.event(event.data)))
                if self.complete or self.failure is not None:
                    break
        except (sse.NotEvents, orjson.JSONDecodeError, KeyError, TypeError, AttributeError, IndexError, ValueError):
            out += self._failed("something came that is not an event of a message")
        return out

    def end(self) -> list[bytes]:
        """An error event unless Anthropic said that it was done."""
        if self.complete or self.failure is not None:
            return []
        return self._failed("the stream ended before the answer was complete")

    def _look(self, event: sse.Event) -> None:
        """At what an event means to us; text goes by unread."""
        if event.name == b"content_block_delta":
            self.first_content = True
            return
        said = orjson.loads(event.data)
        kind = said["type"]
        if kind in ("message_start", "message_delta"):
            counted = said["message"] if kind == "message_start" else said
            self._used |= {name: value for name, value in (counted.get("usage") or {}).items() if value is not None}
            self.usage = answering.usage(self._used)
        elif kind in ("content_block_start", "content_block_delta"):
            self.first_content = True
        elif kind == "message_stop":
            self.complete = True
        elif kind == "error":
            error = said["error"]
            status = answering.STATUS.get(error.get("type"), 500)
            self.failure = failures.failure(answering.VENDOR, status, {}, str(error.get("message") or ""))

    def _failed(self, text: str) -> list[bytes]:
        self.failure = failures.failure(answering.VENDOR, 503, {}, text)
        return [streaming.failed(failures.error(self.failure))]
