"""The path of one inference request, as a list. Read it from top to bottom; each name is a file in `stages`.

Composed once, at start. A step does its work at once, or answers with an awaitable that does it: then the request needs a
task. So there are two drivers of the same list: `direct` takes requests along it without a task for as long as no step
must wait, `Pipeline.answer` takes any request from wherever it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from headgate import errors
from headgate.access.attempts import Attempts
from headgate.access.directory import Directory
from headgate.access.principals import Principal
from headgate.clock import Clock
from headgate.gateway.call import Call, Chunks, Reply
from headgate.gateway.capacity import Capacity
from headgate.gateway.exchanges import Answer, Exchange
from headgate.gateway.keeping import Keeper, KeepsNothing
from headgate.gateway.stages.address import Address
from headgate.gateway.stages.authenticate import Authenticate
from headgate.gateway.stages.call_provider import CallProvider
from headgate.gateway.stages.call_replica import CallReplica
from headgate.gateway.stages.choose import Choose
from headgate.gateway.stages.find_endpoint import FindEndpoint
from headgate.gateway.stages.guard import Guard
from headgate.gateway.stages.limit import Limit
from headgate.gateway.stages.parse import Parse
from headgate.gateway.stages.record import Record, Recorder
from headgate.gateway.stages.trace import Trace
from headgate.gateway.switchboard import Switchboard
from headgate.limits.limiter import Limiter

CLIENT_LEFT = 499

Step = Callable[[Call], Awaitable[None] | None]
"""Changes the call, or raises a HeadgateError. One that must wait returns what is to be awaited, and does the rest there.

A step may have a method `ended(call)`: it is called when a request that entered the step is finished, whatever became of it.
"""


class Random(Protocol):
    """What is left to chance; `random.Random` is one."""

    def random(self) -> float: ...

    def getrandbits(self, k: int) -> int: ...


@dataclass(frozen=True, slots=True)
class StepNeeds:
    """What the steps are made from."""

    authenticate: Callable[[str | None], Principal]
    attempts: Attempts
    switchboard: Switchboard
    capacity: Capacity
    recorder: Recorder
    clock: Clock
    rng: Random
    payload_bytes: int
    external_payload_bytes: int
    keeper: Keeper = field(default_factory=KeepsNothing)
    limiter: Limiter | None = None
    directory: Callable[[], Directory] | None = None
    guard: Guard = field(default_factory=Guard)
    call_provider: CallProvider = field(default_factory=CallProvider)


def build(needs: StepNeeds) -> Pipeline:
    """The whole way."""
    choose = Choose(needs.switchboard, needs.capacity, needs.rng, needs.call_provider.ready)
    return Pipeline(
        (
            Trace(needs.rng),
            Authenticate(needs.authenticate, needs.attempts),
            Address(needs.payload_bytes),
            FindEndpoint(needs.switchboard),
            Record(needs.recorder, needs.keeper),
            Parse(needs.external_payload_bytes),
            Limit(needs.payload_bytes, needs.limiter, needs.directory),
            needs.guard,
            choose,
        ),
        Ends(CallReplica(choose, needs.clock), needs.call_provider, needs.keeper),
        needs.clock,
    )


@dataclass(frozen=True, slots=True)
class Ends:
    """What comes after all steps."""

    call_replica: CallReplica
    call_provider: CallProvider
    keeper: Keeper


class Pipeline:
    """The steps, and the two ways to take a request along them."""

    def __init__(self, steps: tuple[Step, ...], ends: Ends, clock: Clock) -> None:
        self.last = ends.call_replica
        """What answers a request that has passed all steps, if it is for a replica."""
        self._call_provider = ends.call_provider
        self.keeper = ends.keeper
        """Of records of what was answered."""
        self._steps = steps
        self._endings = [(position, step.ended) for position, step in enumerate(steps) if hasattr(step, "ended")]
        self._clock = clock

    def without(self, *kinds: type) -> Pipeline:
        """The same way, also of the same steps, but for those of these kinds."""
        steps = tuple(step for step in self._steps if not isinstance(step, kinds))
        return Pipeline(steps, Ends(self.last, self._call_provider, self.keeper), self._clock)

    def enter(self, call: Call) -> Awaitable[None] | None:
        """Takes it along the steps it has not entered yet: to the end, or to one that must wait and is to be awaited first.

        Raises HeadgateError.
        """
        passed = call.passed
        try:
            for step in self._steps[passed:]:
                passed += 1
                waiting = step(call)
                if waiting is not None:
                    return waiting
        finally:
            call.passed = passed
        return None

    def end(self, call: Call, status: int) -> None:
        """It is finished. Call it once for every call that was entered."""
        call.status = call.failure or status
        call.total_ms = (self._clock.monotonic_s() - call.arrived_s) * 1000.0
        for position, ended in self._endings:
            if call.passed > position:
                ended(call)

    async def answer(
        self,
        call: Call,
        waiting: Awaitable[None] | None = None,
        begun: tuple[Exchange, Answer] | None = None,
    ) -> Reply:
        """The rest of the way, after `waiting`; with the beginning of a stream, what is left to do with that.

        Raises HeadgateError, or CancelledError because the client left.
        """
        status = 500
        try:
            if waiting is not None:
                await waiting
            while (waiting := self.enter(call)) is not None:
                await waiting
            reply = await self._ask(call, begun)
            status = reply.status
            if call.kept:
                call.status = status
                reply = await self.keeper.answered(call, reply)
            if reply.length is None:
                call.streamed = True
                reply.chunks = _Ended(reply, call, self.end)
            else:
                call.response_bytes = reply.length
            return reply
        except errors.HeadgateError as error:
            status = call.status = error.http_status
            call.error_code = error.error_code
            if call.kept:
                await self.keeper.refused(call, error)
            raise
        except asyncio.CancelledError:
            status = CLIENT_LEFT
            raise
        finally:
            if not call.streamed:
                self.end(call, status)

    async def _ask(self, call: Call, begun: tuple[Exchange, Answer] | None) -> Reply:
        if call.entity.external is not None:
            return await self._call_provider(call)
        return await (self.last(call) if begun is None else self.last(call, *begun))


class _Ended:
    """The chunks of a stream, after which the call is finished."""

    __slots__ = ("_call", "_chunks", "_complete", "_end", "_over", "_status")

    def __init__(self, reply: Reply, call: Call, end: Callable[[Call, int], None]) -> None:
        self._chunks: Chunks = reply.chunks
        self._status = reply.status
        self._call = call
        self._end = end
        self._complete = False
        self._over = False

    def __aiter__(self) -> _Ended:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._chunks.__anext__()
        except StopAsyncIteration:
            self._complete = True
            raise
        self._call.response_bytes += len(chunk)
        return chunk

    async def aclose(self) -> None:
        try:
            await self._chunks.aclose()
        finally:
            if not self._over:
                self._over = True
                self._end(self._call, self._status if self._complete else CLIENT_LEFT)
