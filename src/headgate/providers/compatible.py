"""Vendors that speak OpenAI's dialect, which is the middle language itself: the identity.

A client's values go on as the bytes they are; only `model` is replaced, what is ours is taken out and usage is asked for on streams. A vendor built on
this says where its routes are and how it wants its credentials (`address`, `credentials`), nothing more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import orjson

from headgate.errors import InvalidParameterValue, MalformedRequest
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
    functions=True,
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


class _Stateful(msgspec.Struct, frozen=True):
    background: Any = None
    conversation: Any = None
    previous_response_id: Any = None
    service_tier: Any = None
    store: Any = None


class _Answered(msgspec.Struct, frozen=True):
    usage: Any = None
    error: Any = None


_stateful = msgspec.json.Decoder(_Stateful)
_answered = msgspec.json.Decoder(_Answered)


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
            if not body.isascii():
                body.decode()  # what the decoder skips it does not look at
            said = _answered.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadAnswer(f"{self.label} answered with something that is not a JSON object.") from error
        # A failed response of the Responses API has its error beside everything else, and is an answer.
        if said.error and target.task != RESPONSES:
            raise BadAnswer(f"{self.label} answered with an error: {failures.message_of(body)}")
        return Answer(body, usage.usage_of(said.usage))

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
        """The members as they are, but for the model, what is ours, and on streams the wish for usage."""
        head = chat.read_head(body)
        members = json_members.taken_apart(body)
        if head.extra_params:
            extra = capabilities.extra_params(_parsed(head.extra_params), members)
            if "extra_params" in self.ours:
                members |= {name: orjson.dumps(value) for name, value in extra.items()}
        for name in self.ours:
            members.pop(name, None)
        members["model"] = orjson.dumps(target.model)
        if stream != bool(head.stream):
            members["stream"] = b"true" if stream else b"false"
        if stream and target.task in (CHAT, COMPLETIONS) and not head.includes_usage:
            options = members["stream_options"] if head.stream_options is not None else b"{}"
            members["stream_options"] = json_members.edited(options, {"include_usage": b"true"})
        return json_members.put_together(members)


def _parsed(raw: msgspec.Raw) -> Any:
    try:
        return orjson.loads(bytes(raw))
    except orjson.JSONDecodeError as error:
        raise MalformedRequest(f"The request body is not valid JSON: extra_params: {error}") from error


def _refuse_state(body: bytes) -> None:
    """Raises InvalidParameterValue for what would make the vendor keep something between two requests, where all callers are one."""
    asked = chat.decoded(_stateful, body)
    for field in ("background", "conversation", "previous_response_id", "service_tier", "store"):
        if getattr(asked, field) not in (None, False):
            raise InvalidParameterValue(
                f"Bad request: {field} is not supported: all callers of an endpoint are one account to the vendor. Send the whole input."
            )
