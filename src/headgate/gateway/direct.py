"""The quick door: a request's way from its connection to a replica and back without a task, called by `http`.

Takes every request as far as `pipeline` can go without waiting, and waits for a slot in the queue of its deployment. A vendor is
asked in a task. What needs more (a step that must wait, a stream, a second try) is handed over to `routes`, from where it is. No rule is here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterable
from functools import partial
from typing import Protocol

from headgate import errors
from headgate.gateway.call import Call
from headgate.gateway.deployment import Moved
from headgate.gateway.exchanges import Answer, Exchange, NotSent, ReplicaDied
from headgate.gateway.links import Connection
from headgate.gateway.pipeline import CLIENT_LEFT
from headgate.gateway.routes import App, Routes

logger = logging.getLogger(__name__)


class Line(Protocol):
    """The connection a request came on."""

    def respond(self, call: Call, status: int, head: bytes, body: bytes) -> None:
        """Writes the answer; `head` is what its head begins with, complete lines."""

    def hand_over(self, app: App) -> None:
        """This ASGI app answers the request; its body was taken."""

    def cut(self) -> None:
        """Closes it without an answer."""


class Direct(Exchange):
    """One request without a task: is told when it has a slot, when it is answered, and when its client leaves."""

    __slots__ = ("_left", "_line", "_queued", "_routes", "_task", "since_s")

    def __init__(self, call: Call, line: Line, routes: Routes) -> None:
        super().__init__(call)
        self.since_s = call.arrived_s
        """When it began to wait, if it did."""
        self._line = line
        self._routes = routes
        self._queued = False
        self._left = False
        self._task: asyncio.Task[None] | None = None
        """Asks a vendor."""

    def begin(self) -> None:
        """Takes it along the pipeline. Its line hears of it again, maybe at once. Never raises."""
        call, routes = self.call, self._routes
        routes.active += 1
        try:
            waiting = routes.pipeline.enter(call)
            if waiting is not None:
                self._hand_over(waiting)
                return
            deployment = call.deployment
            if deployment is None:  # an external model
                self._task = asyncio.get_running_loop().create_task(self._ask_vendor())
                call.abort = self._give_up
                return
            connection = deployment.take()
            if connection is not None:
                self._send(connection, call.arrived_s)
            else:
                deployment.queue(self)
                self._queued = True
        except Exception as error:  # noqa: BLE001 - this is a door: `refuse` logs what is not meant for clients
            self.failed(error)

    def leave(self) -> None:
        """Its client is gone."""
        self._left = True
        if self._task is not None:
            self._task.cancel()
            return
        if self._queued:
            assert self.call.deployment is not None
            self.call.deployment.leave(self)
        else:
            self.abandon()
        self._end(CLIENT_LEFT)

    # -- what vendors say ------------------------------------------------------------------------------------------

    async def _ask_vendor(self) -> None:
        """The rest of the way, which is the general one but for how a whole answer is written."""
        call, routes = self.call, self._routes
        try:
            reply = await routes.pipeline.answer(call)
            if reply.length is None:
                self._line.hand_over(routes.deliver(call, reply))
                return
            body = b"".join([chunk async for chunk in reply.chunks])
            await reply.chunks.aclose()
            self._line.respond(call, reply.status, _lines(reply.headers), body)
        except asyncio.CancelledError:
            if not self._left:
                self._line.cut()
        except Exception as error:  # noqa: BLE001 - this is a door: `refuse` logs what is not meant for clients
            try:
                self._refuse(error)
            except Exception as worse:  # noqa: BLE001 - nobody else looks at this task
                self._cut(worse)
        call.abort = _over
        routes.done()

    def _give_up(self) -> None:
        if self._task is not None:
            self._task.cancel()

    # -- what the queue says ---------------------------------------------------------------------------------------

    def granted(self, connection: Connection) -> bool:
        """A slot is its own."""
        self._queued = False
        self._send(connection, self._routes.clock.monotonic_s())
        return True

    # -- what the link says ----------------------------------------------------------------------------------------

    def replied(self, answer: Answer) -> None:
        call, body = self.call, answer.body
        try:
            if self.stream is not None:
                self._hand_over(begun=(self, answer))
                return
            self._routes.pipeline.last.finish(call, self, answer)
            call.response_bytes = len(body)
            if call.kept:
                self._routes.pipeline.keeper.answer(call, answer.status, body, partial(self._recorded, answer))
                return
            self._respond(answer)
        except Exception as error:  # noqa: BLE001 - the link is shared: whatever this was must not reach it
            self._cut(error)
        self._end(answer.status)

    def failed(self, error: Exception) -> None:
        call, last = self.call, self._routes.pipeline.last
        self._queued = False
        if isinstance(error, Moved):
            self._hand_over(last.again(call))
            return
        if isinstance(error, ReplicaDied):
            try:
                last.died(call, error)
            except errors.HeadgateError as too_many:
                error = too_many
            else:
                self._hand_over()
                return
        if call.kept:
            self._hand_over(_refused(error))
            return
        self._end(self._refuse(error))

    # -- what the keeper of records says ---------------------------------------------------------------------------

    def _recorded(self, answer: Answer, refusal: errors.HeadgateError | None) -> None:
        """The record of its answer is written, or could not be and must be."""
        if self._left:
            return
        status = answer.status
        try:
            if refusal is None:
                self._respond(answer)
            else:
                status = self._refuse(refusal)
        except Exception as error:  # noqa: BLE001 - others are told in the same turn
            self._cut(error)
        self._end(status)

    # -- its answer ------------------------------------------------------------------------------------------------

    def _respond(self, answer: Answer) -> None:
        call = self.call
        assert call.deployment is not None
        head = call.deployment.answer_head(answer.content_type)
        self._line.respond(call, answer.status, head + _lines(call.headers) if call.headers else head, answer.body)

    def _refuse(self, error: Exception) -> int:
        status, headers, body = self._routes.refuse(self.call, error)
        self._line.respond(self.call, status, _lines(headers), body)
        return status

    def _cut(self, error: Exception) -> None:
        logger.error("request %s could not be answered", self.call.request_id, exc_info=error)
        self._line.cut()

    def _send(self, connection: Connection, now_s: float) -> None:
        try:
            connection.ask(self, now_s)
        except NotSent:
            assert self.call.deployment is not None
            self.call.deployment.release(connection)
            self._hand_over()

    def _hand_over(self, waiting: Awaitable[None] | None = None, begun: tuple[Exchange, Answer] | None = None) -> None:
        self._line.hand_over(self._routes.resume(self.call, waiting, begun))

    def _end(self, status: int) -> None:
        self._routes.pipeline.end(self.call, status)
        self._routes.done()


async def _refused(error: Exception) -> None:
    """Awaited by a request whose refusal is recorded."""
    raise error


def _lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join([b"%b: %b\r\n" % header for header in headers])


def _over() -> None:
    """In place of what led back to the request: in a circle it would stay, its body with it, until the next collection."""
