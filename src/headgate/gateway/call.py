"""One inference request on its way in (`Head`, `Call`) and its answer on the way out (`Reply`).

Made by the two doors (`direct`, `routes`), filled in by the steps of `pipeline`. Nothing here parses a body.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from headgate.access.principals import Principal
from headgate.domain.request_record import Attempt, Verdict
from headgate.domain.routing import EndpointRoute, EntityRoute
from headgate.domain.usage import Usage

if TYPE_CHECKING:
    from headgate.gateway.deployment import Deployment
    from headgate.gateway.dialects.port import Dialect
    from headgate.gateway.guarding import Guarding
    from headgate.limits.limiter import Admission
    from headgate.wire.chat import Head as BodyHead

INVOCATIONS = "invocations"
CHAT_COMPLETIONS = "chat/completions"
COMPLETIONS = "completions"
EMBEDDINGS = "embeddings"
RESPONSES = "responses"
MESSAGES = "anthropic/v1/messages"
APIS = (INVOCATIONS, CHAT_COMPLETIONS, COMPLETIONS, EMBEDDINGS, RESPONSES, MESSAGES)
"""In which dialect a client may speak: what the ends of paths say."""

ANONYMOUS = Principal("", "", admin=False)
UNROUTED = EndpointRoute("", "", "NOT_READY")
UNCHOSEN = EntityRoute("", "", "", "", 0, 0)

Headers = list[tuple[bytes, bytes]]


class Chunks(Protocol):
    """The pieces of a body. `aclose` must be called, also when iterating never began or ended early."""

    def __aiter__(self) -> Chunks: ...

    async def __anext__(self) -> bytes: ...

    async def aclose(self) -> None: ...


class Whole:
    """A body that is one piece."""

    __slots__ = ("_body",)

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body

    def __aiter__(self) -> Whole:
        return self

    async def __anext__(self) -> bytes:
        body, self._body = self._body, None
        if body is None:
            raise StopAsyncIteration
        return body

    async def aclose(self) -> None:
        pass


@dataclass(slots=True)
class Reply:
    """The answer. The door adds request id, workspace id and length."""

    status: int
    headers: Headers
    chunks: Chunks
    length: int | None = None
    """Bytes in all; None when the answer is streamed."""


@dataclass(frozen=True, slots=True)
class Head:
    """What the head of a request for a model says. Requests whose heads are the same bytes share one."""

    method: str
    path: str
    endpoint_name: str
    """Empty where the body names it: the step `address` then puts another head in the place of this one."""
    entity_name: str | None
    """Named in the path; None: the traffic split decides."""
    headers: Mapping[bytes, bytes]
    """Lower-case names."""
    authorization: str | None
    content_type: bytes
    api: str = INVOCATIONS
    """One of APIS."""


def _nobody() -> None:
    """Nobody has to be told."""


@dataclass(slots=True)
class Call:
    """One request. Times are `clock.monotonic_s`."""

    head: Head
    body: bytes | bytearray
    """As received; empty when it is too long, see `body_bytes`."""
    body_bytes: int
    """Length of the body: announced, or read before reading was given up."""
    arrived_s: float
    deadline_s: float
    """When it is answered 504. Time spent waiting for a sleeping entity is added to it."""
    passed: int = 0
    """Steps of the pipeline it has entered."""
    address: str = ""
    """Where the client's connection comes from."""
    request_id: str = ""
    principal: Principal = ANONYMOUS
    endpoint: EndpointRoute = UNROUTED
    entity: EntityRoute = UNCHOSEN
    """UNCHOSEN when it was refused before one was chosen."""
    deployment: Deployment | None = None
    abort: Callable[[], None] = _nobody
    """Ends the request without an answer: its client is gone, or does not read. Set while a task answers it."""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """Headers its answer gets beside the usual ones."""
    deaths: int = 0
    """Replicas that died while they had this request."""
    queue_ms: float = 0.0
    """Waiting here and in the worker."""
    execute_ms: float = 0.0
    """In the model."""
    response_bytes: int = 0
    failure: int = 0
    """HTTP status that would say what went wrong after a stream had begun; 0: nothing."""
    status: int = 0
    """Once it is finished: HTTP status; 499: the client left. Of a stream that broke, what the status would have been."""
    total_ms: float = 0.0
    """Once it is finished: from its head to its answer's end."""
    streamed: bool = False
    asked: BodyHead | None = None
    """What the body says of itself; set by `parse` where somebody on the way must know."""
    task: str = ""
    """What is asked for, of `providers.port`'s tasks; set by `parse` for external models."""
    dialect: Dialect | None = None
    """How its client speaks, see `dialects`; set by `parse`. None: the middle language."""
    admission: Admission | None = None
    """Of the rate limits, to be settled."""
    guarding: Guarding | None = None
    """What watches over this request and its answer; None: nothing does."""
    kept: bool = False
    """Whether a record of it is still to be made: its answer's end waits until that is written."""
    received: bytes | bytearray = b""
    """The body as it came, for its record, whatever becomes of `body`."""
    attempts: tuple[Attempt, ...] = ()
    """Vendors that were asked, in order; the last one answered."""
    verdicts: tuple[Verdict, ...] = ()
    """Of guardrails, so far."""
    usage: Usage | None = None
    """Tokens, as far as the model has told."""
    first_byte_s: float = 0.0
    """When the first byte of the answer's body was there; 0: not yet."""
    complete: bool = True
    """False: the stream ended early."""
    error_code: str = ""
    """Of the error that it was refused with."""
