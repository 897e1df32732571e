"""Requests of the server itself to its own endpoints, along the same pipeline: guardrails ask their judge and their embeddings so.

They come from nobody outside, so they are not authenticated, not limited and not guarded, which also means that no guardrail can wait for itself.
They are recorded like others, with `REQUESTER` in the place of a user.
"""

from __future__ import annotations

from headgate.access.principals import OAUTH, Principal
from headgate.clock import Clock
from headgate.gateway.call import Call, Head, Reply
from headgate.gateway.pipeline import Pipeline
from headgate.gateway.stages.address import Address
from headgate.gateway.stages.authenticate import Authenticate
from headgate.gateway.stages.guard import Guard
from headgate.gateway.stages.limit import Limit

REQUESTER = "headgate-guardrails"
_NOBODY = Principal("", REQUESTER, admin=True, credential=OAUTH)
_JSON = b"application/json"


class NotAnswered(Exception):
    """The endpoint answered with an error; the message is its status."""


class Inside:
    """`invoke` is the door."""

    def __init__(self, pipeline: Pipeline, clock: Clock) -> None:
        self._pipeline = pipeline.without(Authenticate, Address, Limit, Guard)
        self._clock = clock

    async def invoke(self, endpoint_name: str, body: bytes, timeout_s: float) -> bytes:
        """Body of a request in, body of its answer out. Raises HeadgateError or NotAnswered; the caller keeps the deadline too."""
        now_s = self._clock.monotonic_s()
        call = Call(_head(endpoint_name), body, len(body), now_s, now_s + timeout_s)
        call.principal = _NOBODY
        reply: Reply = await self._pipeline.answer(call)
        try:
            pieces = [piece async for piece in reply.chunks]
        finally:
            await reply.chunks.aclose()
        if reply.status != 200:
            raise NotAnswered(f"status {reply.status}")
        return b"".join(pieces)


def _head(endpoint_name: str) -> Head:
    headers = {b"content-type": _JSON, b"user-agent": REQUESTER.encode()}
    return Head("POST", f"/serving-endpoints/{endpoint_name}/invocations", endpoint_name, None, headers, None, _JSON)
