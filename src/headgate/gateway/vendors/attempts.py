"""One attempt at one served entity: keys and token, the request out, the answer or the beginning of a stream back, and who is told of it.

Asked by `stages.call_provider`, which knows the order. Does not try a second time, except once with a new token when a kept one is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from headgate.clock import Clock, within
from headgate.domain.request_record import Attempt
from headgate.domain.routing import EntityRoute
from headgate.errors import HeadgateError
from headgate.gateway.aside import Aside
from headgate.gateway.call import Call, Headers, Reply, Whole
from headgate.gateway.dialects.port import EVENTS, JSON
from headgate.gateway.vendors import judging
from headgate.gateway.vendors.breaker import State
from headgate.gateway.vendors.fleet import Fleet
from headgate.gateway.vendors.judging import Failed
from headgate.gateway.vendors.speech import Speech
from headgate.gateway.vendors.streams import Ending, Ground, Parts, VendorStream
from headgate.gateway.vendors.tokens import Tokens
from headgate.gateway.vendors.vendor import Opened, Vendor
from headgate.providers.port import BadAnswer, Credential
from headgate.telemetry import metrics
from headgate.telemetry.counting import Metrics
from headgate.upstream.port import Abandoned, Response, Upstream, UpstreamFailed

_LONGEST_REFUSAL = 64 * 1024
REFUSAL_S = 5.0
"""Its status has said what matters: nobody waits longer for the words."""
_NO_CACHE = (b"cache-control", b"no-cache")


@dataclass(frozen=True, slots=True)
class Try:
    """One attempt under way."""

    call: Call
    entity: EntityRoute
    vendor: Vendor
    begun_s: float
    probes: bool
    """Whether it is the one request that tries whether the vendor is well again."""


class VendorAttempts:
    """See the module."""

    def __init__(self, upstream: Upstream, fleet: Fleet, clock: Clock, counted: Metrics) -> None:
        self._upstream = upstream
        self._fleet = fleet
        self._clock = clock
        self._counted = counted
        self._tokens = Tokens(upstream, clock)
        self._aside = Aside()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ground = Ground(clock, self._own)

    async def ask(self, call: Call, entity: EntityRoute) -> Reply:
        """The answer. Raises Failed; HeadgateError for what is the client's fault, or the guardrails' refusal of the answer."""
        vendor, begun_s = self._fleet.of(entity), self._clock.monotonic_s()
        opened = vendor.opened
        if opened is None:
            try:
                opened = await vendor.keys()
            except HeadgateError as error:
                failed = judging.keyless(error)
                try:
                    self._note(Try(call, entity, vendor, begun_s, False), failed)
                    raise failed from None
                finally:
                    del failed  # see `stages.call_provider`
        trying = Try(call, entity, vendor, begun_s, vendor.breaker.begin(begun_s))
        if trying.probes:
            self._fleet.show(vendor)
        try:
            return await self._asked(trying, opened)
        except Failed as failed:
            self._failed(trying, failed)
            raise
        except asyncio.CancelledError as left:
            self._failed(trying, judging.given_up(isinstance(left, Abandoned)))
            raise
        except BaseException:
            vendor.breaker.given_up(trying.probes)
            raise

    async def close(self) -> None:
        """What is still being read or fetched is given up."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._tokens.close()

    async def _asked(self, trying: Try, opened: Opened) -> Reply:
        speech = Speech(trying.call, opened)
        credential, kept = None, False
        if opened.needs_token:
            credential, kept = await self._token(trying.vendor, opened)
        try:
            return await self._sent(trying, opened, speech, credential)
        except Failed as failed:
            if not (kept and credential and failed.status == 401):
                raise
            source = trying.vendor.source
            if source is None:
                raise
            source.drop(credential)
            self._note(trying, failed)
        credential, _ = await self._token(trying.vendor, opened)
        return await self._sent(trying, opened, speech, credential)

    async def _token(self, vendor: Vendor, opened: Opened) -> tuple[Credential, bool]:
        """A short-lived token, and whether it was there already. Raises Failed."""
        source = vendor.source
        if source is None:
            source = vendor.source = self._tokens.of(opened)
        held = source.held()
        return (await source.fetched(), False) if held is None else (held, True)

    async def _sent(self, trying: Try, opened: Opened, speech: Speech, credential: Credential | None) -> Reply:
        call, vendor = trying.call, trying.vendor
        now_s = self._clock.now_ms() / 1000.0
        outgoing = await self._aside.do(speech.takes_long(len(call.body)), lambda: speech.outgoing(credential, now_s))
        sent_s = self._clock.monotonic_s()
        lane = vendor.within(max(0.001, call.deadline_s - sent_s))
        try:
            response = await self._upstream.send(outgoing, lane)
        except UpstreamFailed as error:
            raise judging.unreached(error) from None
        try:
            if response.status != 200:
                answer = response.status, response.headers, await _refusal(response)
                raise judging.refused(opened, speech.target, credential, answer)
            if speech.streams:
                return await self._streamed(trying, speech, credential, (response, sent_s))
            return await self._whole(trying, speech, response)
        except asyncio.CancelledError:
            response.close()
            raise Abandoned from None
        except BaseException:
            response.close()
            raise

    async def _whole(self, trying: Try, speech: Speech, response: Response) -> Reply:
        call = trying.call
        try:
            came = await response.body()
            answer = await self._aside.do(speech.takes_long(len(came)), lambda: speech.answer(came))
        except UpstreamFailed as error:
            raise judging.unreached(error) from None
        except BadAnswer as error:
            raise judging.garbage(error.message, speech.target) from None
        except judging.ODD:
            raise judging.garbage(judging.NO_COMPLETION, speech.target) from None
        call.usage = answer.usage
        body, guarding = answer.body, call.guarding
        if guarding is not None and guarding.checks_output:
            try:
                body = await guarding.whole(body)
            except HeadgateError:
                self._answered(trying)
                raise
        try:
            passed = body
            body = await self._aside.do(speech.takes_long(len(passed)), lambda: speech.whole(passed))
        except judging.ODD:
            raise judging.garbage(judging.NO_COMPLETION, speech.target) from None
        self._answered(trying)
        call.first_byte_s = self._clock.monotonic_s()
        return Reply(200, _head(trying.entity, JSON, call), Whole(body), len(body))

    async def _streamed(
        self, trying: Try, speech: Speech, credential: Credential | None, begun: tuple[Response, float]
    ) -> Reply:
        """`begun`: the response, and when it was asked for."""
        call, vendor = trying.call, trying.vendor
        response, sent_s = begun
        guarding = call.guarding
        guarded = guarding.stream() if guarding is not None and guarding.checks_output else None
        parts = Parts(response, speech.reader(), speech.writer(), guarded, speech.target, credential)
        before = call.attempts

        def ended(ending: Ending) -> None:
            call.attempts = before
            self._ended(trying, ending)

        stream = VendorStream(call, parts, self._ground, ended)
        try:
            await stream.begin(vendor.patience.first_byte_s - (self._clock.monotonic_s() - sent_s))
        except asyncio.CancelledError:
            call.usage = parts.reader.usage
            raise
        if trying.probes:
            vendor.breaker.answered(trying.probes)
            self._fleet.show(vendor)
        self._note(trying, None, counts=False)
        return Reply(200, [*_head(trying.entity, EVENTS, call), _NO_CACHE], stream)

    def _ended(self, trying: Try, ending: Ending) -> None:
        """A stream is over."""
        if ending.failed is not None:
            self._failed(trying, ending.failed)
            return
        if ending.left:
            self._note(trying, None)
        else:
            self._answered(trying)

    def _answered(self, trying: Try) -> None:
        was = trying.vendor.breaker.state
        trying.vendor.breaker.succeeded()
        if was is not State.CLOSED:
            self._fleet.show(trying.vendor)
        self._note(trying, None)

    def _failed(self, trying: Try, failed: Failed) -> None:
        vendor, now_s = trying.vendor, self._clock.monotonic_s()
        if failed.counts:
            vendor.breaker.failed(trying.probes, now_s)
            if failed.failure.retry_after_s is not None:
                vendor.breaker.rest(failed.failure.retry_after_s, now_s)
        elif failed.status and failed.outcome == judging.REFUSED:
            vendor.breaker.succeeded()
        else:
            vendor.breaker.given_up(trying.probes)
        self._fleet.show(vendor)
        self._note(trying, failed)

    def _note(self, trying: Try, failed: Failed | None, counts: bool = True) -> None:
        """Into the record and, with `counts`, the metrics."""
        call, entity = trying.call, trying.entity
        duration_ms = round((self._clock.monotonic_s() - trying.begun_s) * 1000.0)
        status, message = (200, "") if failed is None else (failed.status, failed.failure.message)
        call.attempts = (*call.attempts, Attempt(entity.id, entity.name, status, duration_ms, message))
        if counts:
            outcome = judging.ANSWERED if failed is None else failed.outcome
            self._counted.number(metrics.ATTEMPTS, call.endpoint.name, entity.name, outcome).add()

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _refusal(response: Response) -> bytes:
    """The beginning of the body of an answer that is none; what is lost of it matters little."""
    body = bytearray()

    async def read() -> None:
        while len(body) < _LONGEST_REFUSAL and (chunk := await response.chunk()):
            body.extend(chunk)

    try:
        await within(REFUSAL_S, read())
    except (UpstreamFailed, asyncio.TimeoutError):
        pass
    if not response.complete:
        response.close()
    return bytes(body[:_LONGEST_REFUSAL])


def _head(entity: EntityRoute, content_type: bytes, call: Call) -> Headers:
    return [(b"content-type", content_type), (b"served-model-name", entity.name.encode()), *call.headers]
