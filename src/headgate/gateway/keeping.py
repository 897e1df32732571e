"""Who keeps records of finished requests: the port between the pipeline and the warehouse's spool.

`stages.record` asks `wants`; `pipeline` hands over what became of the request. Nothing here may be slow: it is on every answer's way out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from headgate.errors import HeadgateError
from headgate.gateway.call import Call, Reply

Then = Callable[[HeadgateError | None], None]


class Keeper(Protocol):
    """Of one server process."""

    def wants(self, call: Call) -> bool:
        """Whether this request becomes a record. Raises TemporarilyUnavailable when it must and cannot."""
        ...

    async def answered(self, call: Call, reply: Reply) -> Reply:
        """Its answer as it may leave: complete ones once their record is written, streams with their last piece held back until then."""
        ...

    def answer(self, call: Call, status: int, body: bytes, then: Then) -> None:
        """The same of a complete answer, without a task: `then` is called once, maybe at once, when it may leave, or with what is answered
        in its place."""
        ...

    async def refused(self, call: Call, error: HeadgateError) -> None:
        """It was answered with this error: returns once that is written."""
        ...

    def ended(self, call: Call) -> None:
        """It is over, and neither was said of it: its client is gone, or something failed that is not meant for clients."""
        ...

    def close(self) -> None:
        """No more will come. Blocks until everything is written."""
        ...


class KeepsNothing:
    """Where there is no spool."""

    def wants(self, call: Call) -> bool:
        return False

    async def answered(self, call: Call, reply: Reply) -> Reply:
        return reply

    def answer(self, call: Call, status: int, body: bytes, then: Then) -> None:
        then(None)

    async def refused(self, call: Call, error: HeadgateError) -> None:
        pass

    def ended(self, call: Call) -> None:
        pass

    def close(self) -> None:
        pass
