"""Clients of Anthropic's Messages API. To Anthropic their bytes go through, unless guardrails must read them; to others as `wire.messages` translates them."""

from __future__ import annotations

from headgate.errors import HeadgateError
from headgate.gateway.call import CHAT_COMPLETIONS, Call
from headgate.gateway.dialects import encoding
from headgate.providers.capabilities import Capabilities
from headgate.wire.messages import answering, asking, streaming

_ANTHROPIC = frozenset({"anthropic"})


class _Writer(streaming.Writer):
    def failed(self, error: HeadgateError) -> bytes:
        return streaming.failed(error)


class _Messages:
    """The body is still the client's."""

    native: frozenset[str] = _ANTHROPIC
    api = CHAT_COMPLETIONS

    def includes_usage(self, call: Call) -> bool:
        return True

    def request(self, call: Call, capabilities: Capabilities) -> bytes:
        return translated(call.body, marks=capabilities.cache_control, thinking=capabilities.thinking)

    def answer(self, body: bytes) -> bytes:
        return answering.message(body)

    def stream(self) -> _Writer:
        return _Writer()


class _Translated(_Messages):
    """The body is in the middle language already, as guardrails need it."""

    native: frozenset[str] = frozenset()

    def request(self, call: Call, capabilities: Capabilities) -> bytes:
        return bytes(call.body)


def translated(body: bytes | bytearray, *, marks: bool, thinking: bool) -> bytes:
    """A Messages request in the middle language. `marks`, `thinking`: whether whoever gets it knows `cache_control` and `thinking`."""
    return encoding.encoded(asking.chat_request(bytes(body), keep_cache_marks=marks, keep_thinking=thinking))


MESSAGES = _Messages()
TRANSLATED = _Translated()
