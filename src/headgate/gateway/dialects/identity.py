"""Clients that speak the middle language itself (OpenAI's, as Databricks extends it): everything goes through as it is."""

from __future__ import annotations

from headgate.errors import HeadgateError
from headgate.gateway.call import Call
from headgate.providers.capabilities import Capabilities
from headgate.wire import sse


class Identity:
    """Also its own writer: there is nothing to remember."""

    native: frozenset[str] = frozenset()
    api = ""

    def includes_usage(self, call: Call) -> bool:
        return call.asked is not None and call.asked.includes_usage

    def request(self, call: Call, capabilities: Capabilities) -> bytes:
        body = call.body
        return body if isinstance(body, bytes) else bytes(body)

    def answer(self, body: bytes) -> bytes:
        return body

    def stream(self) -> Identity:
        return self

    def feed(self, events: list[bytes]) -> list[bytes]:
        return events

    def failed(self, error: HeadgateError) -> bytes:
        return sse.error_event(error)


IDENTITY = Identity()
