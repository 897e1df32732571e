"""Last step for external models: a vendor is asked, and others after it where that may help.

Never a second one once the client has got anything, and none twice. What one attempt is, is said in `vendors.attempts`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from headgate import errors
from headgate.clock import Clock
from headgate.domain.routing import EntityRoute
from headgate.gateway.call import Call, Reply
from headgate.gateway.guarding import Guarding
from headgate.gateway.vendors import judging, order
from headgate.gateway.vendors.judging import Failed
from headgate.telemetry import metrics
from headgate.telemetry.counting import Metrics

LEAST_S = 0.05
"""With less time left than this no other vendor is asked."""


class CallProvider:
    """Entered last, when `call.entity` is an external model. This one knows no way to vendors; `AskVendors` does."""

    def ready(self, entity: EntityRoute) -> bool:
        """Whether it is worth asking while others can answer as well."""
        return True

    async def __call__(self, call: Call) -> Reply:
        """The answer in the client's dialect. Raises HeadgateError."""
        raise errors.NotSupported("External models are not supported by this server.")


class Asker(Protocol):
    """`vendors.attempts.VendorAttempts`."""

    async def ask(self, call: Call, entity: EntityRoute) -> Reply: ...


class AskVendors(CallProvider):
    """See the module."""

    def __init__(self, asker: Asker, ready: Callable[[EntityRoute], bool], clock: Clock, counted: Metrics) -> None:
        self._ready = ready
        self._ask = asker.ask
        self._clock = clock
        self._counted = counted

    def ready(self, entity: EntityRoute) -> bool:
        return self._ready(entity)

    async def __call__(self, call: Call) -> Reply:
        guarding = call.guarding
        if guarding is not None and guarding.asks:
            return await self._beside(call, guarding)
        return await self._answer(call)

    async def _answer(self, call: Call) -> Reply:
        """One after the other, as `order` says, until one answers. Raises the last one's error."""
        named = call.head.entity_name is not None
        entities = order.candidates(call.endpoint, call.entity, named, self._ready)
        failed: Failed | None = None
        try:
            for entity in entities:
                if failed is not None:
                    if call.deadline_s - self._clock.monotonic_s() < LEAST_S:
                        break
                    self._counted.number(metrics.FALLBACKS, call.endpoint.name, call.entity.name).add()
                tried, call.entity = call.entity, entity
                try:
                    return await self._ask(call, entity)
                except Failed as error:
                    failed = error
                    if not error.failure.retryable:
                        break
                except errors.InvalidParameterValue as error:
                    if failed is None:
                        raise
                    # Not the client's fault: the one it was meant for could have done it.
                    judging.note_unable(call, entity, error)
                    call.entity = tried
            assert failed is not None, "there is at least one to ask"
            failed.error.headers.setdefault("served-model-name", call.entity.name)
            raise failed.error
        finally:
            # What was raised knows this frame: knew the frame it too, the request's body would stay until the next collection.
            del failed

    async def _beside(self, call: Call, guarding: Guarding) -> Reply:
        """The same while guardrails still ask about the request: nothing leaves before they have said yes, and after a no nothing is asked."""
        verdict = asyncio.ensure_future(guarding.passed())
        answer = asyncio.ensure_future(self._answer(call))
        try:
            await asyncio.wait({verdict, answer}, return_when=asyncio.FIRST_COMPLETED)
            await verdict
            return await answer
        except BaseException:
            await _given_up(verdict, answer)
            raise
        finally:
            del verdict, answer  # as above


async def _given_up(verdict: asyncio.Future[Any], answer: asyncio.Future[Any]) -> None:
    """Ends both. An answer that is there already goes nowhere."""
    verdict.cancel()
    answer.cancel()
    await asyncio.wait({verdict, answer})
    if not verdict.cancelled():
        verdict.exception()
    if not answer.cancelled() and answer.exception() is None:
        await answer.result().chunks.aclose()
