"""The path of one inference request, as a list. Read it from top to bottom; each name is a file in `stages`.

Composed once, at start: nothing is built per request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from headgate.access.principals import Principal
from headgate.clock import Clock
from headgate.domain.routing import EndpointRoute
from headgate.gateway.call import Call, Reply
from headgate.gateway.capacity import Capacity
from headgate.gateway.stages.authenticate import Authenticate
from headgate.gateway.stages.authorize import Authorize
from headgate.gateway.stages.call_replica import CallReplica
from headgate.gateway.stages.choose import Choose
from headgate.gateway.stages.find_endpoint import FindEndpoint
from headgate.gateway.stages.limit import Limit
from headgate.gateway.stages.record import Record, Recorder
from headgate.gateway.stages.trace import Trace
from headgate.gateway.switchboard import Switchboard

Next = Callable[[Call], Awaitable[Reply]]
"""The rest of the way."""


class Stage(Protocol):
    """One step. It may change the call, answer itself, hand on to `next`, and look at the reply."""

    async def __call__(self, call: Call, next: Next) -> Reply: ...


class Random(Protocol):
    """What is left to chance; `random.Random` is one."""

    def random(self) -> float: ...

    def getrandbits(self, k: int) -> int: ...


@dataclass(frozen=True, slots=True)
class StageNeeds:
    """What the stages are made from."""

    authenticate: Callable[[str | None], Principal]
    may_query: Callable[[Principal, EndpointRoute], bool]
    switchboard: Switchboard
    capacity: Capacity
    recorder: Recorder
    clock: Clock
    rng: Random
    payload_bytes: int


def build(needs: StageNeeds) -> Next:
    """The whole way, ready to be called for every request."""
    return compose(
        [
            Trace(needs.rng),
            Authenticate(needs.authenticate),
            FindEndpoint(needs.switchboard),
            Authorize(needs.may_query),
            Record(needs.recorder, needs.clock),
            Limit(needs.payload_bytes),
            Choose(needs.switchboard, needs.capacity, needs.rng),
            CallReplica(needs.clock),
        ]
    )


def compose(stages: Sequence[Stage]) -> Next:
    """Each stage with the ones after it as its `next`."""
    step: Next = _nowhere
    for stage in reversed(stages):
        step = partial(stage.__call__, next=step)
    return step


async def _nowhere(call: Call) -> Reply:
    raise AssertionError(f"no stage answered {call.method} {call.path}")
