"""One request's guardrails on its way through the gateway: made by `stages.guard`, asked by `stages.call_provider` through the port `guarding`.

Owns the task that asks a judge and embeddings beside the vendor. What is decided, is decided in the room `guardrails`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from headgate.domain.request_record import Verdict
from headgate.errors import HeadgateError
from headgate.gateway.aside import Aside
from headgate.gateway.call import Call
from headgate.guardrails import bodies
from headgate.guardrails.guard import Checked, Guard, Question
from headgate.guardrails.responses import ResponsesGuard
from headgate.guardrails.streaming import StreamGuard

T = TypeVar("T")

AT_ONCE_BYTES = 16 * 1024
"""Longer bodies are checked in a thread: a KiB takes 20 to 60 µs, one made of nothing but personal data a millisecond, and others wait."""


class Looking:
    """Where texts are looked at, and who still asks models. One per server process; `stop` at the end."""

    def __init__(self) -> None:
        self.asking: set[asyncio.Task[Checked]] = set()
        self._aside = Aside("guardrails")

    @staticmethod
    def takes_long(guard: Guard, size: int) -> bool:
        """Whether others must not wait for it."""
        return size > AT_ONCE_BYTES or guard.tools.is_slow

    async def check(self, guard: Guard, size: int, check: Callable[[], T]) -> T:
        """What a check of so many bytes says; in a thread where it may take long. Raises TemporarilyUnavailable, see `aside`."""
        return await self._aside.do(self.takes_long(guard, size), check)

    def ask(self, question: Question | None, guard: Guard) -> asyncio.Task[Checked] | None:
        """Asks it from now on, if there is something to ask."""
        if question is None:
            return None
        task = asyncio.get_running_loop().create_task(guard.ask(question))
        self.asking.add(task)
        task.add_done_callback(self.asking.discard)
        task.add_done_callback(_looked_at)
        return task

    async def stop(self) -> None:
        """Waits until nothing is asked any more. Once no request is left."""
        for task in self.asking:
            task.cancel()
        await asyncio.gather(*self.asking, return_exceptions=True)
        self._aside.stop()


class Watching:
    """`Guarding` of one request."""

    def __init__(self, call: Call, guard: Guard, looking: Looking, question: Question | None) -> None:
        """Of a request that passed what is checked at once. `question`: what models are to say of it."""
        self._call = call
        self._guard = guard
        self.looking = looking
        self._asking = looking.ask(question, guard)
        self._kind = call.task
        self._request = bytes(call.body)
        self._shadow = guard.policy.shadow
        self._of_request = call.verdicts
        self._of_answer: tuple[Verdict, ...] = ()

    @property
    def asks(self) -> bool:
        """As `Guarding.asks`. What only records holds nothing back."""
        return self._asking is not None and not self._shadow

    async def passed(self) -> None:
        """As `Guarding.passed`."""
        asking = self._asking
        if asking is None:
            return
        checked = await asking
        if self._asking is not None:
            self._asking = None
            self._of_request += checked.verdicts
            self._note()
        if checked.refusal is not None:
            raise checked.refusal

    @property
    def checks_output(self) -> bool:
        """As `Guarding.checks_output`; also where a verdict that only records is waited for, so that it is recorded."""
        return self._looks_at_answers or (self._shadow and self._asking is not None)

    @property
    def _looks_at_answers(self) -> bool:
        return self._guard.policy.output.anything and self._kind != bodies.EMBEDDINGS

    async def whole(self, body: bytes) -> bytes:
        """As `Guarding.whole`."""
        if self._shadow:
            await self.passed()
        guard, kind, request = self._guard, self._kind, self._request
        size = len(body) + (len(request) if guard.policy.output.asks_models else 0)
        checked = await self.looking.check(guard, size, lambda: guard.check_answer(kind, body, request))
        self.note_answer(checked.verdicts)
        if checked.refusal is None and checked.question is not None:
            asked = await guard.ask(checked.question)
            self.note_answer(checked.verdicts + asked.verdicts)
            if asked.refusal is not None:
                raise asked.refusal
        if checked.refusal is not None:
            raise checked.refusal
        return checked.body

    def stream(self) -> WatchedStream:
        """As `Guarding.stream`."""
        if not self._looks_at_answers:
            return WatchedStream(self, self._guard, None)
        stream = (
            ResponsesGuard(self._guard, self._request)
            if self._kind == bodies.RESPONSES
            else StreamGuard(self._guard, self._kind, self._request)
        )
        return WatchedStream(self, self._guard, stream)

    def close(self) -> None:
        """As `Guarding.close`."""
        if self._asking is not None:
            self._asking.cancel()

    def note_answer(self, verdicts: tuple[Verdict, ...]) -> None:
        """All that was said of the answer so far."""
        self._of_answer = verdicts
        self._note()

    def _note(self) -> None:
        self._call.verdicts = self._of_request + self._of_answer


class WatchedStream:
    """`GuardedStream`. Verdicts are noted with every piece: the client may leave at any time."""

    def __init__(self, watching: Watching, guard: Guard, stream: StreamGuard | None) -> None:
        """`stream` None: nothing of it is looked at."""
        self._watching = watching
        self._guard = guard
        self._stream = stream

    @property
    def refused(self) -> bool:
        """As `GuardedStream.refused`."""
        return self.refusal is not None

    @property
    def refusal(self) -> HeadgateError | None:
        """As `GuardedStream.refusal`."""
        return None if self._stream is None else self._stream.refusal

    async def feed(self, chunk: bytes) -> bytes:
        """As `GuardedStream.feed`."""
        stream = self._stream
        if stream is None:
            return chunk
        return await self._leaving(await self._checked(stream.size(chunk), lambda: stream.feed(chunk)))

    async def end(self) -> bytes:
        """As `GuardedStream.end`."""
        stream = self._stream
        last = b"" if stream is None else await self._leaving(await self._checked(0, stream.end))
        if not self.refused:
            # What only records is still out.
            await self._watching.passed()
        return last

    async def _checked(self, size: int, check: Callable[[], list[bytes]]) -> list[bytes]:
        return await self._watching.looking.check(self._guard, size, check)

    async def _leaving(self, events: list[bytes]) -> bytes:
        stream = self._stream
        assert stream is not None, "asked by those who have looked"
        while stream.question is not None and stream.refusal is None:
            checked = await self._guard.ask(stream.question)
            events += stream.answered(checked.verdicts, checked.refusal)
        self._watching.note_answer(stream.verdicts)
        return b"".join(events)


def _looked_at(task: asyncio.Task[Checked]) -> None:
    # Whoever waits for it hears of its error; where nobody does any more, asyncio need not report it.
    if not task.cancelled():
        task.exception()
