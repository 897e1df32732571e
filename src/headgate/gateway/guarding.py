"""What the guardrails' step leaves with a request for those after it: the port between `stages.guard` and `stages.call_provider`."""

from __future__ import annotations

from typing import Protocol

from headgate.errors import HeadgateError


class GuardedStream(Protocol):
    """A stream's events of the middle language on their way out. `refusal` in the end: what was sent ends in an error event, and nothing follows."""

    @property
    def refused(self) -> bool: ...

    @property
    def refusal(self) -> HeadgateError | None:
        """Why it was."""
        ...

    async def feed(self, chunk: bytes) -> bytes:
        """What may leave now of these events, perhaps nothing. May wait for a judge, never longer than the settings say."""
        ...

    async def end(self) -> bytes:
        """The upstream is over: what is left to say."""
        ...


class Guarding(Protocol):
    """One request's guardrails. Verdicts go into `call.verdicts` by themselves."""

    @property
    def asks(self) -> bool:
        """Whether a model's verdict on the request is still out: nothing of an answer may leave before `passed` has returned."""
        ...

    async def passed(self) -> None:
        """Waits for that verdict. Raises the refusal (HeadgateError). Begun by the step, so that it is asked beside the vendor."""
        ...

    @property
    def checks_output(self) -> bool:
        """Whether answers are looked at."""
        ...

    async def whole(self, body: bytes) -> bytes:
        """A complete answer in the middle language as it may leave. Raises the refusal."""
        ...

    def stream(self) -> GuardedStream:
        """For one stream of the middle language (or of the Responses API, where that is what was asked)."""
        ...

    def close(self) -> None:
        """The request is over: whatever is still being asked is given up."""
        ...
