"""Clients of OpenAI's Responses API, before models that have chat only. Where all vendors of an endpoint have the API, bytes go through (`identity`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headgate.gateway.call import CHAT_COMPLETIONS, Call
from headgate.gateway.dialects import encoding
from headgate.providers.capabilities import Capabilities
from headgate.wire.responses import answering, asking, streaming


class Responses:
    """Of one request, which its answer repeats. `call.body` is in the middle language already."""

    native: frozenset[str] = frozenset()
    api = CHAT_COMPLETIONS

    def __init__(self, asked: Mapping[str, Any]) -> None:
        self._asked = asked

    def includes_usage(self, call: Call) -> bool:
        return True

    def request(self, call: Call, capabilities: Capabilities) -> bytes:
        return bytes(call.body)

    def answer(self, body: bytes) -> bytes:
        return answering.response(body, self._asked)

    def stream(self) -> streaming.Writer:
        return streaming.Writer(self._asked)


def translated(body: bytes) -> tuple[Responses, bytes]:
    """The dialect of a Responses request, and the request in the middle language. Raises MalformedRequest, InvalidParameterValue."""
    said = asking.parsed(body)
    return Responses(said), encoding.encoded(asking.chat_request(said))
