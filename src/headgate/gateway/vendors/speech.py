"""How one attempt at a vendor is spoken: the adapter between the client's dialect and the vendor's, or neither where both are the same.

Pure. Asked by `attempts`.
"""

from __future__ import annotations

from headgate.errors import HeadgateError
from headgate.gateway.aside import AT_ONCE_BYTES
from headgate.gateway.call import Call
from headgate.gateway.dialects import choosing
from headgate.gateway.dialects.identity import IDENTITY
from headgate.gateway.dialects.port import Dialect, StreamWriter
from headgate.gateway.vendors.vendor import Opened
from headgate.providers.anthropic import passing
from headgate.providers.compatible import Compatible
from headgate.providers.port import EMBEDDINGS, Answer, Credential, Outgoing, Request, StreamReader

_PASSED_AT_ONCE_BYTES = 1024 * 1024
"""Of what goes through as it is, a few members aside."""


class Speech:
    """Of one call with one vendor."""

    __slots__ = ("_call", "_dialect", "_native", "_opened", "streams", "target")

    def __init__(self, call: Call, opened: Opened) -> None:
        self._call = call
        self._opened = opened
        self._dialect: Dialect = choosing.of(call)
        self.target = opened.targets[call.task]
        self._native = self.target.provider in self._dialect.native
        asked = call.asked
        self.streams = asked is not None and bool(asked.stream) and call.task != EMBEDDINGS

    def takes_long(self, size: int) -> bool:
        """Whether others must not wait until so many bytes of a request or an answer are looked at."""
        if size <= AT_ONCE_BYTES:
            return False
        passes = self._native or (self._dialect is IDENTITY and isinstance(self._opened.provider, Compatible))
        return not passes or size > _PASSED_AT_ONCE_BYTES

    def outgoing(self, credential: Credential | None, now_s: float) -> Outgoing:
        """The vendor's request. Raises HeadgateError: what the client did wrong, or what this vendor cannot do."""
        if self._native:
            body = self._call.body
            request = Request(body if isinstance(body, bytes) else bytes(body), self.streams)
            return passing.prepare(self.target, request, self._call.head.headers)
        provider = self._opened.provider
        request = Request(self._dialect.request(self._call, provider.capabilities), self.streams)
        return provider.prepare(self.target, request, credential, now_s)

    def answer(self, body: bytes) -> Answer:
        """The vendor's answer in the middle language, or as it is. Raises BadAnswer."""
        return passing.answer(body) if self._native else self._opened.provider.answer(self.target, body)

    def whole(self, body: bytes) -> bytes:
        """That as the client reads it."""
        return body if self._native else self._dialect.answer(body)

    def reader(self) -> StreamReader:
        """The same for a stream."""
        if self._native:
            return passing.Reader()
        return self._opened.provider.stream(self.target, self._dialect.includes_usage(self._call))

    def writer(self) -> StreamWriter:
        """And for what it returns."""
        writer = self._dialect.stream()
        return _Unchanged(writer) if self._native else writer


class _Unchanged:
    """Events that are the client's already."""

    __slots__ = ("_writer",)

    def __init__(self, writer: StreamWriter) -> None:
        self._writer = writer

    def feed(self, events: list[bytes]) -> list[bytes]:
        return events

    def failed(self, error: HeadgateError) -> bytes:
        return self._writer.failed(error)
