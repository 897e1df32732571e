"""What every vendor's adapter can do, in one middle language: OpenAI's chat, completions and embeddings as Databricks extends them.

Adapters are pure: no network, no clock, no database. The gateway resolves secrets into a `Target`, asks `prepare` what to send, sends it, and
hands what comes back to `answer`, `stream` or `failure`. Vendors know this module and `capabilities`, never each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from headgate.domain.usage import Usage
from headgate.providers.capabilities import Capabilities

__all__ = [
    "Answer",
    "BadAnswer",
    "Capabilities",
    "Credential",
    "Outgoing",
    "Provider",
    "Request",
    "StreamReader",
    "Target",
    "Usage",
    "VendorFailure",
]

CHAT = "llm/v1/chat"
COMPLETIONS = "llm/v1/completions"
EMBEDDINGS = "llm/v1/embeddings"
RESPONSES = "openai/v1/responses"
"""No task of an external model, but a route: OpenAI's Responses API, passed through to vendors that have it."""


@dataclass(frozen=True, slots=True)
class Target:
    """One external entity as this request needs it. `task`: what the request asks for, of the four above.

    `config` is flat, with the field names of the provider's config and secrets in plain text:
    `{"openai_api_key": …, "openai_api_base": …}`. A nested object's fields stand under dotted names:
    `custom_provider_url`, `bearer_token_auth.token`, `api_key_auth.key`, `api_key_auth.value`.
    """

    provider: str
    model: str
    task: str
    config: Mapping[str, str]

    def __repr__(self) -> str:
        """Without the config: it holds secrets."""
        return f"Target({self.provider!r}, {self.model!r}, {self.task!r})"


@dataclass(frozen=True, slots=True)
class Request:
    """What the client asks, in the middle language. As bytes where nothing has changed it: then the identity sends them on as they are."""

    body: bytes | Mapping[str, Any]
    stream: bool = False


@dataclass(frozen=True, slots=True)
class Credential:
    """A short-lived token, fetched by `token_request`. Fetch the next one before `expires_at_s` (seconds of the clock passed in)."""

    value: str
    expires_at_s: float

    def __repr__(self) -> str:
        return f"Credential(expires_at_s={self.expires_at_s!r})"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What to send. Headers without Host and Content-Length, names in lower case. A body is complete: never chunked."""

    method: str
    url: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def __repr__(self) -> str:
        """Without headers and body: they hold secrets."""
        return f"Outgoing({self.method} {self.url.partition('?')[0]}, {len(self.body)} bytes)"


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer: JSON in the middle language, and what was used where the vendor says so."""

    body: bytes
    usage: Usage | None


@dataclass(frozen=True, slots=True)
class VendorFailure:
    """The vendor said no. `status`: what our client is shown. `retryable`: whether another entity, or a later try, may do better."""

    status: int
    message: str
    retry_after_s: float | None = None
    retryable: bool = False


class StreamReader(Protocol):
    """A vendor's stream turned into events of the middle language, `data: <json>\\n\\n` each, chunk by chunk as they come.

    `usage`: so far. `complete`: whether the vendor said that it was done. `first_content`: whether anything a client could show has been
    returned; before that another entity can still take over. `failure`: what the vendor said went wrong in the middle of it.
    """

    usage: Usage | None
    complete: bool
    first_content: bool
    failure: VendorFailure | None

    def feed(self, chunk: bytes) -> list[bytes]:
        """The events that are whole now; one piece may hold several. Never raises for what a vendor sends: garbage becomes `failure`."""
        ...

    def end(self) -> list[bytes]:
        """The vendor's stream is over, however: what is left to say. `data: [DONE]` only if `complete`, otherwise one error event."""
        ...


class Provider(Protocol):
    """A vendor. Instances hold no state: one serves all endpoints."""

    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

    def prepare(self, target: Target, request: Request, credential: Credential | None, now_s: float) -> Outgoing:
        """The vendor's request. Raises InvalidParameterValue naming what this vendor cannot do, MalformedRequest for what is no JSON object."""
        ...

    def answer(self, target: Target, body: bytes) -> Answer:
        """The vendor's 200 in the middle language. Raises BadAnswer when it is not what the vendor's API answers."""
        ...

    def stream(self, target: Target, include_usage: bool) -> StreamReader:
        """A reader for one stream. `include_usage`: whether the client asked for the last chunk that says what was used."""
        ...

    def failure(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> VendorFailure:
        """What the vendor's answer with another status than 200 means. Header names in lower case."""
        ...

    def token_request(self, target: Target, now_s: float) -> Outgoing | None:
        """What to ask for a short-lived token where the vendor needs one, else None."""
        ...

    def credential(self, body: bytes, now_s: float) -> Credential:
        """The token in the answer to `token_request`. Raises BadAnswer."""
        ...


class BadAnswer(Exception):
    """What came is not what the vendor's API answers: to be treated as a 502 of the vendor's, retryable. `message` shows no secret."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
