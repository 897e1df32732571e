"""The worker's event loop: accepts connections, admits requests, keeps deadlines, answers, drains. Called by `worker` with a
model's scorer. All state lives on the loop; the executor's threads only post frames.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import time
from collections import deque
from typing import Callable, Deque, List, NamedTuple, Optional, Sequence, Set, Tuple, Union

from headgate_worker import health, loading, protocol, readying, status
from headgate_worker.batching import INLINE_BODY_BYTES, Batch, Batcher, Limits
from headgate_worker.connection import Connection
from headgate_worker.deadlines import Deadlines
from headgate_worker.executing import Execution, Executor, Frame, Job, Timing, refusal, reply
from headgate_worker.feeding import LogFeed
from headgate_worker.logs import ServiceLog
from headgate_worker.scoring import Answer, Events, Scorer, error_event
from headgate_worker.specification import WorkerSpec
from headgate_worker.status import StatusFile

_UNFINISHED_LIMIT = 1024
"""Requests of all servers together beyond those that execute, or twice their windows where that is more. Servers keep to their
windows, so this only bounds a broken one, and what it has cancelled but a thread has not seen yet."""
_STREAM_GRACE_S = 1.0
"""A cancelled stream may end by itself, with its next chunk, before it is interrupted."""
_LAST_WORDS_S = 2.0
_OVERDUE = "Request processing time exceeded limit ({limit:g} s). Make the model faster, or raise the limit."
_NO_THREAD = "The replica cannot execute the request. Raise its memory limit, or lower its concurrency"
_FAILED = "The worker failed: {error}"
_TOO_MANY = "Too many concurrent requests. Consider increasing the provisioned concurrency of the served entity."


class Served(NamedTuple):
    """The model."""

    scorer: Scorer
    example: Optional[bytes]
    """A body that asks for predictions on its input example."""


class Worker:
    """Serves one model until it is drained."""

    def __init__(self, spec: WorkerSpec, served: Served, told: StatusFile, log: ServiceLog) -> None:
        self._spec = spec
        self._status = told
        self._log = log
        self._scorer, self._example = served
        self._loop = asyncio.get_running_loop()
        self._executor = Executor(spec.slots, self._score, self._post)
        self._batcher = Batcher(self._scorer, Limits(spec.batch_requests, spec.batch_rows), self)
        self._posted: Deque[Tuple[Execution, Frame, bool]] = deque()
        self._is_woken = False
        self._executions = 0
        """Handed to the executor and not over."""
        self._unfinished: Set[Job] = set()
        """Jobs that no thread is done with, and those waiting for one."""
        self._deadlines = Deadlines(self._loop, self._unfinished)
        self._connections: Set[Connection] = set()
        self._servers = 0
        """Connections of servers."""
        self._is_turn = False
        """Whether what is sent now is written soon without being scheduled."""
        self._has_rows = False
        """Whether this turn has brought requests that can be answered together."""
        self._unwritten: List[Connection] = []
        self._alone = asyncio.Event()
        """Set whenever the last connection goes."""
        self._listener: Optional[asyncio.AbstractServer] = None
        self._drained: asyncio.Future[None] = self._loop.create_future()
        self._is_draining = False
        self._is_hurried = False
        self._served = 0
        self._knows_modules = not spec.wants_modules
        self._ready_at = time.monotonic()

    async def run(self) -> None:
        """Warms up, listens, and returns when drained. Raises OSError when it cannot listen."""
        self._loop.add_signal_handler(signal.SIGTERM, self._terminate)
        await self._warm_up()
        await self._prove()
        # What is loaded stays: the collector need not look at it again with every request.
        gc.collect()
        gc.freeze()
        gc.enable()
        if not self._is_draining:
            self._listener = await self._loop.create_unix_server(
                lambda: Connection(self, self._loop), self._spec.socket_path, backlog=512
            )
            self._log.listener = LogFeed(self._loop, self._connections).hear
            self._ready_at = time.monotonic()
            self._status.tell(state=status.READY, phase="serve")
            self._log.record(
                "INFO", f"{self._spec.model_name} version {self._spec.model_version} {self._status.summary()}"
            )
            await self._drained
        self._log.listener = None
        for connection in list(self._connections):
            connection.close()
        if self._connections:
            await asyncio.wait([self._loop.create_task(self._alone.wait())], timeout=_LAST_WORDS_S)

    # -- warm-up -------------------------------------------------------------------------------------------------

    async def _warm_up(self) -> None:
        """One prediction on the model's own example, through the same path as a request. Its failure is only logged."""
        if self._example is None:
            return
        self._status.tell(phase="first_predict")
        began = time.perf_counter()
        code, said = await readying.rehearse(self._example, lambda job: self._turn(lambda: self._admit(job)))
        self._served = 0
        self._status.took("first_predict", (time.perf_counter() - began) * 1000.0)
        if code != 200:
            self._log.record("WARNING", f"the prediction on the model's input example failed: {said}")
        elif not self._knows_modules:
            self._report_modules()

    async def _prove(self) -> None:
        said, took_ms = await readying.prove(self._scorer, self._example)
        self._status.took("prove", took_ms)
        self._log.record("INFO", f"predictions: {said}")

    def _report_modules(self) -> None:
        self._knows_modules = True
        try:
            self._status.knows_modules(loading.environment_modules((self._spec.model_path, *self._spec.user_code_dirs)))
        except OSError:
            pass  # the folder is gone: nobody asks any more

    # -- requests (connection.Host) ------------------------------------------------------------------------------

    def accept(self, connection: Connection, request_id: int, asked: Tuple[bytes, bytes]) -> None:
        """A REQUEST frame."""
        if request_id in connection.jobs:
            raise protocol.ProtocolError(f"request id {request_id} is in use")
        meta, body = asked
        try:
            content_type, limit_ms, api = protocol.request_terms(meta)
        except protocol.ProtocolError as error:
            connection.send(refusal(request_id, 400, "BAD_REQUEST", f"The request's meta cannot be read: {error}"))
            return
        if len(self._unfinished) >= _UNFINISHED_LIMIT and self._is_flooded:
            connection.send(refusal(request_id, 429, "REQUEST_LIMIT_EXCEEDED", _TOO_MANY))
            return
        now = time.monotonic()
        limit_s = self._spec.execution_limit_s if limit_ms is None else limit_ms / 1000.0
        job = Job(connection, (request_id, content_type, body, now, now + limit_s))
        job.api = api
        connection.jobs[request_id] = job
        self._admit(job)

    def fail(self, connection: Connection, request_id: int, error: Exception) -> None:
        """Accepting it has failed."""
        job = connection.jobs.get(request_id)
        if job is not None:
            self._close(job)
            job.cancel()
            self._unfinished.discard(job)
        connection.send(refusal(request_id, 500, "INTERNAL_ERROR", _FAILED.format(error=error)))

    def abandon(self, job: Job) -> None:
        """Its client has left: what can be stopped is stopped, the rest dropped."""
        self._close(job)
        self._stop(job)
        self._check_drained()

    @property
    def _is_flooded(self) -> bool:
        most = max(_UNFINISHED_LIMIT, 2 * self._window * self._servers)
        return len(self._unfinished) >= self._spec.slots + most

    @property
    def _window(self) -> int:
        """Requests that one server may have here unanswered: while one batch executes, the next one gathers."""
        slots = self._spec.slots
        return max(slots, 2 * self._spec.batch_requests) if self._scorer.joins else slots

    def _admit(self, job: Job) -> None:
        self._unfinished.add(job)
        self._deadlines.note(job.deadline)
        scorer = self._scorer
        if len(job.body) <= INLINE_BODY_BYTES and (scorer.joins or scorer.is_native) and not job.api:
            job.rows = scorer.rows(job.content_type, job.body)
            if job.rows is not None:
                self._batcher.add(job)
                self._has_rows = True
                return
        self.submit(job)

    def _score(self, job: Job) -> Union[Answer, Events]:
        """Called by the executor's threads."""
        scorer, content_type, body = self._scorer, job.content_type, job.body
        if job.api:
            return scorer.converse(job.api, body)
        rows = scorer.rows(content_type, body)
        return scorer.score(content_type, body) if rows is None else scorer.answer([rows])[0]

    def _stop(self, job: Job) -> None:
        job.cancel()
        if isinstance(job.batch, Batch):
            self._batcher.let_go(job.batch)
        elif job.is_streaming:
            self._loop.call_later(_STREAM_GRACE_S, job.interrupt)
        else:
            job.interrupt()

    def _close(self, job: Job) -> None:
        """No answer is to be sent any more."""
        job.is_open = False
        job.body = b""
        job.owner.jobs.pop(job.request_id, None)

    # -- answers (batching.Desk) ---------------------------------------------------------------------------------

    def submit(self, execution: Execution) -> bool:
        """Has a thread execute it. False when there is none; a job is then refused."""
        self._executions += 1
        try:
            self._executor.submit(execution, self._executions)
        except RuntimeError as error:
            self._executions -= 1
            if isinstance(execution, Job):
                self._end(
                    execution, refusal(execution.request_id, 503, "TEMPORARILY_UNAVAILABLE", f"{_NO_THREAD}: {error}")
                )
            return False
        return True

    def answered(self, jobs: Sequence[Job], answers: Sequence[Answer], took: Timing) -> None:
        """These jobs are over; those without an answer are the last ones."""
        for job, answer in zip(jobs, answers):
            self._end(job, reply(job.request_id, answer, took.of(job)) if job.is_open else ())
        for job in jobs[len(answers) :]:
            self._end(job)
        self._check_drained()

    def overdue(self, job: Job) -> None:
        """Answers a request that is past its deadline."""
        message = _OVERDUE.format(limit=round(job.deadline - job.received, 3))
        if job.is_streaming:
            self._break(job, message)
        else:
            job.owner.send(refusal(job.request_id, 504, "DEADLINE_EXCEEDED", message))
        self._close(job)

    def later(self, function: Callable[[], None]) -> None:
        """Calls it once sockets have been looked at."""
        self._loop.call_soon(self._turn, function)

    def flush(self) -> None:
        """Writes what is to be sent."""
        unwritten, self._unwritten = self._unwritten, []
        for connection in unwritten:
            connection.flush()

    def _end(self, job: Job, frame: Frame = ()) -> None:
        """It is over; with its last frame, unless its client has left."""
        self._unfinished.discard(job)
        if not job.is_open:
            return
        if not frame:
            self._give_up(job)
            return
        job.owner.send(frame)
        self._close(job)
        self._served += 1
        if not self._knows_modules and isinstance(job.owner, Connection):
            self._report_modules()

    def _give_up(self, job: Job) -> None:
        """Its execution has ended without an answer."""
        if job.deadline <= time.monotonic():
            self.overdue(job)
            return
        message = _FAILED.format(error="see the service log")
        if job.is_streaming:
            self._break(job, message)
        else:
            job.owner.send(refusal(job.request_id, 500, "INTERNAL_ERROR", message))
        self._close(job)

    def _break(self, job: Job, message: str) -> None:
        """Ends a stream that cannot go on."""
        job.owner.send((protocol.encode(protocol.CHUNK, job.request_id, error_event(message)),))
        job.owner.send((protocol.encode(protocol.END, job.request_id),))

    # -- turns (connection.Host) ---------------------------------------------------------------------------------

    def turn_begins(self) -> None:
        """Of a read: its requests are answered together, and its answers written together."""
        self._is_turn = True

    def turn_ends(self) -> None:
        """All of a read is known."""
        if self._has_rows:
            self._has_rows = False
            if self._servers > 1:
                self.later(self._batcher.run)  # what other servers have sent by now can join
            else:
                self._batcher.run()
        self._is_turn = False
        self._deadlines.watch(self._expire_in_turn)
        if self._unwritten:
            self.flush()

    def flush_later(self, connection: Connection) -> None:
        """It has something to write."""
        self._unwritten.append(connection)
        if not self._is_turn and len(self._unwritten) == 1:
            self._loop.call_soon(self.flush)

    def _turn(self, function: Callable[[], None]) -> None:
        """Calls it as a turn of its own."""
        self._is_turn = True
        try:
            function()
        finally:
            self.turn_ends()

    def _expire_in_turn(self) -> None:
        self._turn(self._expire)

    def _expire(self) -> None:
        for job in self._deadlines.passed():
            self.overdue(job)
            self._stop(job)
        self._check_drained()

    # -- what the threads post -----------------------------------------------------------------------------------

    def _post(self, execution: Execution, frame: Frame, is_over: bool) -> None:
        """Called by the executor's threads."""
        self._posted.append((execution, frame, is_over))
        if not self._is_woken:
            self._is_woken = True
            self._loop.call_soon_threadsafe(self._turn, self._collect)

    def _collect(self) -> None:
        self._is_woken = False
        while self._posted:
            execution, frame, is_over = self._posted.popleft()
            if is_over:
                self._executions -= 1
                if isinstance(execution, Job):
                    self._end(execution, frame)
                elif isinstance(execution, Batch):
                    self._batcher.over(execution)
            elif isinstance(execution, Job):
                self._pass_on(execution, frame)
        self._batcher.run()
        self._check_drained()

    def _pass_on(self, job: Job, frame: Frame) -> None:
        """A piece of a stream."""
        job.is_streaming = True
        if job.is_open:
            job.owner.send(frame, job.room)
        elif job.room is not None:
            job.room.release()

    # -- health and end (connection.Host) ------------------------------------------------------------------------

    def hello(self) -> bytes:
        slots = self._spec.slots
        told = {
            "version": protocol.VERSION,
            "replica": self._spec.replica,
            "slots": slots,
            "window": self._window,
            "phases_ms": self._status.phases_ms,
            "ready_ms": round((time.monotonic() - self._ready_at) * 1000.0, 3),
        }
        return json.dumps(told, separators=(",", ":")).encode()

    def health(self) -> bytes:
        told = {
            **health.counts(self._unfinished, time.monotonic()),
            "served": self._served,
            "batches": self._batcher.batches,
            "joined": self._batcher.joined,
            "native": self._scorer.is_native,
            "mismatches": self._scorer.mismatches,
            "rss_bytes": status.rss_bytes(),
        }
        return json.dumps(told, separators=(",", ":")).encode()

    def opened(self, connection: Connection) -> None:
        self._connections.add(connection)

    def greeted(self, connection: Connection) -> None:
        self._servers = sum(each.role == "server" for each in self._connections)

    def closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self.greeted(connection)
        if not self._connections:
            self._alone.set()
        self._check_drained()

    def drain(self) -> None:
        """Listens no more; ends once no server is connected and every request is answered."""
        if self._is_draining:
            return
        self._is_draining = True
        if self._listener is not None:
            self._listener.close()
            try:
                os.unlink(self._spec.socket_path)
            except OSError:
                pass
        try:
            self._status.tell(state=status.DRAINING)
        except OSError:
            pass
        self._check_drained()

    def _terminate(self) -> None:
        """SIGTERM drains; the second one does not wait for servers to leave."""
        self._is_hurried = self._is_draining
        self.drain()
        self._check_drained()

    def _check_drained(self) -> None:
        if not self._is_draining or self._drained.done() or any(job.is_open for job in self._unfinished):
            return
        if self._is_hurried or all(connection.role == "agent" for connection in self._connections):
            self._drained.set_result(None)
