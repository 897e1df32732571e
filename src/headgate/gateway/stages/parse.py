"""What is asked for: which task a client's API means on the kind of endpoint that was found, and in which dialect it speaks.

Looked at are requests to external models, and to models of our own in a dialect that those do not speak. All others go by: what a body means
is a replica's business.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from headgate import errors
from headgate.gateway.aside import AT_ONCE_BYTES, Aside
from headgate.gateway.call import MESSAGES, RESPONSES, Call
from headgate.gateway.dialects import choosing, messages, responses, vectors
from headgate.providers import port
from headgate.wire import chat, json_members

_CHAT_TASKS = ("llm/v1/chat", "agent/v1/chat", "agent/v2/chat")
"""Models of our own that take messages."""


class Parse:
    """`call.asked` and `call.task` of a request to an external model are set from here on, `call.dialect` where its client does not speak the
    middle language; `call.body` may be translated into that."""

    def __init__(self, external_payload_bytes: int) -> None:
        self._external_payload_bytes = external_payload_bytes
        self._aside = Aside()

    def __call__(self, call: Call) -> Awaitable[None] | None:
        """Raises MalformedRequest, InvalidParameterValue, BadRequest."""
        entities = call.endpoint.entities
        external = entities[0].external if entities else None
        if external is None:
            return self._own(call) if call.head.api in (RESPONSES, MESSAGES) else None
        if call.body_bytes > self._external_payload_bytes:
            raise errors.BadRequest(
                f"The request body is larger than the limit of {self._external_payload_bytes} bytes for external models. Send less per request."
            )
        if call.body_bytes > len(call.body):
            return None  # too long, and not kept: the next step says so
        if isinstance(call.body, bytearray):
            call.body = bytes(call.body)
        _refuse_too_many_values(call)
        asked = call.asked
        if asked is None:
            call.asked = asked = chat.read_head(call.body)
        call.task = choosing.task(call, asked, call.endpoint.gateway.task or external.task)
        if call.head.api == MESSAGES:
            return self._translate(call, _speak_messages)
        if call.task == port.RESPONSES:
            if not choosing.all_have_responses(call):
                return self._translate(call, _speak_responses)
        elif call.task == port.EMBEDDINGS and bytes(asked.encoding_format) == b'"base64"':
            call.dialect = vectors.PACKED
        return None

    def _own(self, call: Call) -> Awaitable[None] | None:
        """A model of our own is asked for what its author wrote: a chat, or the Responses API of an agent."""
        _refuse_too_many_values(call)
        if call.head.api == MESSAGES:
            return self._translate(call, _speak_chat) or _nothing()
        if call.endpoint.gateway.task in _CHAT_TASKS:
            return self._translate(call, _speak_responses) or _nothing()
        return None

    def _translate(self, call: Call, speak: Callable[[Call], None]) -> Awaitable[None] | None:
        """Long bodies in a thread: `speak` touches nothing but its call."""
        if len(call.body) > AT_ONCE_BYTES:
            return self._aside.do(True, lambda: speak(call))
        speak(call)
        return None


def _refuse_too_many_values(call: Call) -> None:
    """Threads do not help against these: a parser lets nobody else run."""
    if len(call.body) > json_members.MOST_VALUES and json_members.has_too_many_values(call.body):
        raise errors.BadRequest(
            f"The request body holds more than {json_members.MOST_VALUES} JSON values and names. Send less per request."
        )


def _speak_chat(call: Call) -> None:
    call.dialect = messages.TRANSLATED
    call.body = messages.translated(call.body, marks=False, thinking=False)


def _speak_messages(call: Call) -> None:
    """Guardrails read the middle language. Without them each vendor gets what it knows of the client's request."""
    call.dialect = messages.MESSAGES
    if call.endpoint.gateway.guardrails:
        able = [vendor.capabilities for vendor in choosing.vendors(call)]
        call.dialect = messages.TRANSLATED
        call.body = messages.translated(
            call.body, marks=all(one.cache_control for one in able), thinking=all(one.thinking for one in able)
        )


def _speak_responses(call: Call) -> None:
    call.task = port.CHAT
    call.dialect, call.body = responses.translated(bytes(call.body))


async def _nothing() -> None:
    """Awaited by requests whose answers are translated on their way out, so they need a task."""
