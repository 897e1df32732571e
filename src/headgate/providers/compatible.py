"""Vendors that speak OpenAI's dialect, which is the middle language itself: the identity.

A client's bytes go on as they are; only `model` is replaced, what is ours is taken out and usage is asked for on streams. A vendor built on
this says where its routes are and how it wants its credentials (`address`, `credentials`), nothing more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import orjson

from headgate.errors import InvalidParameterValue
from headgate.providers import capabilities, compatible_stream, failures, usage
from headgate.providers.capabilities import Capabilities
from headgate.providers.port import (
    CHAT,
    COMPLETIONS,
    EMBEDDINGS,
    RESPONSES,
    Answer,
    BadAnswer,
    Credential,
    Outgoing,
    Request,
    StreamReader,
    Target,
    VendorFailure,
)
from headgate.wire import chat, json_members

ROUTES = {CHAT: "/chat/completions", COMPLETIONS: "/completions", EMBEDDINGS: "/embeddings", RESPONSES: "/responses"}
EVERYTHING = Capabilities(
    tasks=frozenset(ROUTES),
    tools=True,
    tool_choice=True,
    parallel_tools=True,
    images=True,
    audio=True,
    files=True,
    structured_output=True,
    json_object=True,
    n=True,
    logprobs=True,
    stop=True,
    reasoning=True,
    seed=True,
    penalties=True,
    top_k=True,
    logit_bias=True,
    dimensions=True,
    base64=True,
    unknown=True,
)
"""Whatever the model behind it can do: the vendor judges, in its own words."""

OURS = ("usage_context", "client_request_id", "extra_params", "databricks_options")
"""Fields that mean something to us and nothing to a vendor."""

_PLAIN_MODEL = re.compile(rb'"model"\s*:\s*("[^"\\]*")')
_SENSITIVE = (
    b'"model"', b'"messages"', b'"prompt"', b'"input"', b'"stream"', b'"stream_options"', b'"n"', b'"max_tokens"',
    b'"max_completion_tokens"', b'"max_output_tokens"', b'"instructions"',
)  # fmt: skip
"""Keys whose second occurrence could mean one thing to us and another to the vendor."""


class _Stateful(msgspec.Struct, frozen=True):
    background: Any = None
    conversation: Any = None
    previous_response_id: Any = None
    service_tier: Any = None
    store: Any = None


class _Used(msgspec.Struct, frozen=True):
    usage: Any = None


_stateful = msgspec.json.Decoder(_Stateful)
_used = msgspec.json.Decoder(_Used)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a request goes and with which credentials."""

    url: str
    headers: tuple[tuple[bytes, bytes], ...]


class Compatible:
    """What all of them share. `label`: as users call the vendor."""

    name: str
    label: str
    capabilities: Capabilities = EVERYTHING
    ours: tuple[str, ...] = OURS
    """Fields the vendor must not see."""
    forgives_no_done = False
    """Whether a stream is complete without `[DONE]` once the last choice has its `finish_reason`."""

    def address(self, target: Target, credential: Credential | None) -> Address:
        raise NotImplementedError

    def prepare(self, target: Target, request: Request, credential: Credential | None, now_s: float) -> Outgoing:
        """The client's request with the entity's model and credentials."""
        if target.task not in self.capabilities.tasks:
            raise InvalidParameterValue(
                f"{self.label} does not support {target.task}; it does {', '.join(sorted(self.capabilities.tasks))}."
            )
        body = request.body if isinstance(request.body, bytes) else orjson.dumps(request.body)
        if target.task == RESPONSES:
            _refuse_state(body)
        address = self.address(target, credential)
        headers = ((b"content-type", b"application/json"), *address.headers)
        return Outgoing("POST", address.url, headers, self._body(target, body, request.stream))

    def answer(self, target: Target, body: bytes) -> Answer:
        """The vendor's bytes as they are."""
        try:
            return Answer(body, usage.usage_of(_used.decode(body).usage))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadAnswer(f"{self.label} answered with something that is not a JSON object.") from error

    def stream(self, target: Target, include_usage: bool) -> StreamReader:
        if target.task == RESPONSES:
            return compatible_stream.ResponsesReader(self.label)
        return compatible_stream.Reader(self.label, include_usage, self.forgives_no_done)

    def failure(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> VendorFailure:
        return failures.failure(self.label, status, headers, failures.message_of(body))

    def token_request(self, target: Target, now_s: float) -> Outgoing | None:
        return None

    def credential(self, body: bytes, now_s: float) -> Credential:
        raise BadAnswer(f"{self.label} takes no short-lived credentials.")

    def _body(self, target: Target, body: bytes, stream: bool) -> bytes:
        head = chat.read_head(body)
        values = {"model": orjson.dumps(target.model)}
        if stream != bool(head.stream):
            values["stream"] = b"true" if stream else b"false"
        if stream and target.task in (CHAT, COMPLETIONS) and not head.includes_usage:
            values["stream_options"] = b'{"include_usage":true}'
        return (_spliced(body, values) if _is_plain(body, head) else None) or self._edited(body, values, head)

    def _edited(self, body: bytes, values: dict[str, bytes], head: chat.Head) -> bytes:
        """The general case: any escapes, duplicates of `model`, fields of ours, options to be joined."""
        found = json_members.members(body)
        keys = [member.key for member in found]
        twice = next((key for key in keys if keys.count(key) > 1 and key != "model"), None)
        if twice is not None:
            raise InvalidParameterValue(f"Bad request: {twice!r} is given twice; the two could be read differently.")
        if "stream_options" in values and "stream_options" in keys:
            values["stream_options"] = _with_usage(body, found)
        if head.extra_params:
            extra = capabilities.extra_params(orjson.loads(bytes(head.extra_params)), keys)
            if "extra_params" in self.ours:
                values |= {key: orjson.dumps(value) for key, value in extra.items()}
        return json_members.edited(body, values, self.ours)


def _is_plain(body: bytes, head: chat.Head) -> bool:
    """Whether the one literal `"model"` is the member to replace, nothing sensitive occurs twice and no field is ours."""
    return (
        head.model is not None
        and head.stream_options is None
        and not head.extra_params
        and not head.usage_context
        and head.client_request_id is None
        and b"\\u00" not in body
        and b'"databricks_options"' not in body
        and all(body.count(key) <= 1 for key in _SENSITIVE)
    )


def _spliced(body: bytes, values: Mapping[str, bytes]) -> bytes | None:
    """The quick way for plain bodies, which are nearly all: one replacement, new members in front. None when it takes more."""
    model = _PLAIN_MODEL.search(body)
    if model is None or any(b'"%b"' % key.encode() in body for key in values if key != "model"):
        return None
    start = body.index(b"{") + 1
    new = b"".join(b'"' + key.encode() + b'":' + value + b"," for key, value in values.items() if key != "model")
    return body[:start] + new + body[start : model.start(1)] + values["model"] + body[model.end(1) :]


def _with_usage(body: bytes, found: list[json_members.Member]) -> bytes:
    """The client's stream options with usage asked for."""
    member = next(member for member in found if member.key == "stream_options")
    options = body[member.value_start : member.value_end]
    return (
        json_members.edited(options, {"include_usage": b"true"})
        if options.startswith(b"{")
        else b'{"include_usage":true}'
    )


def _refuse_state(body: bytes) -> None:
    """Raises InvalidParameterValue for what would make the vendor keep something between two requests, where all callers are one."""
    asked = chat.decoded(_stateful, body)
    for field in ("background", "conversation", "previous_response_id", "service_tier", "store"):
        if getattr(asked, field) not in (None, False):
            raise InvalidParameterValue(
                f"Bad request: {field} is not supported: all callers of an endpoint are one account to the vendor. Send the whole input."
            )
