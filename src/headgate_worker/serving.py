"""The worker's event loop: accepts connections, admits requests, keeps deadlines, answers, drains. Called by `worker` with a
loaded model. All state lives on the loop; the executor's threads only post frames.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import time
from collections import deque
from typing import Deque, Optional, Set, Tuple

from headgate_worker import loading, protocol, status
from headgate_worker.connection import Connection
from headgate_worker.decoding import JSON
from headgate_worker.executing import Asked, Executor, Job, refusal
from headgate_worker.loading import Loaded
from headgate_worker.logs import ServiceLog
from headgate_worker.scoring import Scorer, error_event
from headgate_worker.specification import WorkerSpec
from headgate_worker.status import StatusFile

_UNFINISHED_LIMIT = 1024
"""Requests waiting beyond those that execute; servers keep to their window, so this only bounds a broken client."""
_WARM_UP_LIMIT_S = 30.0
_STREAM_GRACE_S = 1.0
"""A cancelled stream may end by itself, with its next chunk, before it is interrupted."""
_LAST_WORDS_S = 2.0
_LOG_LINES_AHEAD = 1000
_OVERDUE = "Request processing time exceeded limit ({limit:g} s). Make the model faster, or raise the limit."
_NO_THREAD = "The replica cannot execute the request. Raise its memory limit, or lower its concurrency"
_TOO_MANY = "Too many concurrent requests. Consider increasing the provisioned concurrency of the served entity."


class Worker:
    """Serves one model until it is drained."""

    def __init__(self, spec: WorkerSpec, loaded: Loaded, told: StatusFile, log: ServiceLog) -> None:
        self._spec = spec
        self._status = told
        self._log = log
        self._example = loaded.example
        self._loop = asyncio.get_running_loop()
        self._executor = Executor(spec.slots, Scorer(loaded.model).score, self._post)
        self._posted: Deque[Tuple[Job, bytes, bool]] = deque()
        self._is_woken = False
        self._unfinished: Set[Job] = set()
        """Jobs whose thread is not done with them, and those waiting for one."""
        self._connections: Set[Connection] = set()
        self._alone = asyncio.Event()
        """Set whenever the last connection goes."""
        self._listener: Optional[asyncio.AbstractServer] = None
        self._drained: asyncio.Future[None] = self._loop.create_future()
        self._is_draining = False
        self._is_hurried = False
        self._served = 0
        self._knows_modules = False
        self._sweep: Optional[asyncio.TimerHandle] = None
        self._lines: Deque[str] = deque(maxlen=_LOG_LINES_AHEAD)

    async def run(self) -> None:
        """Warms up, listens, and returns when drained. Raises OSError when it cannot listen."""
        self._loop.add_signal_handler(signal.SIGTERM, self._terminate)
        await self._warm_up()
        # What is loaded stays: the collector need not look at it again with every request.
        gc.collect()
        gc.freeze()
        if not self._is_draining:
            self._listener = await self._loop.create_unix_server(
                lambda: Connection(self, self._loop), self._spec.socket_path, backlog=512
            )
            self._log.listener = self._hear
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
        began = time.perf_counter()
        self._status.tell(phase="first_predict")
        answered: asyncio.Future[bytes] = self._loop.create_future()
        job = Job(_Rehearsal(answered), Asked(0, JSON, self._example, time.monotonic() + _WARM_UP_LIMIT_S))
        self._submit(job)
        payload = await answered
        self._status.took("first_predict", (time.perf_counter() - began) * 1000.0)
        meta, body = protocol.split_meta(payload[protocol.HEADER.size :])
        if meta["status"] == 200:
            self._report_modules()
        else:
            said = body.decode("utf-8", "replace")
            self._log.record("WARNING", f"the prediction on the model's input example failed: {said}")

    def _report_modules(self) -> None:
        self._knows_modules = True
        try:
            self._status.knows_modules(loading.environment_modules((self._spec.model_path, *self._spec.user_code_dirs)))
        except OSError:
            pass  # the folder is gone: nobody asks any more

    # -- requests (connection.Host) ------------------------------------------------------------------------------

    def accept(self, connection: Connection, request_id: int, payload: bytes) -> None:
        """A REQUEST frame."""
        if request_id in connection.jobs:
            raise protocol.ProtocolError(f"request id {request_id} is in use")
        try:
            meta, body = protocol.split_meta(payload)
            content_type = meta.get("content_type") or ""
            limit_ms = meta.get("deadline_ms")
            limit_s = self._spec.execution_limit_s if limit_ms is None else float(limit_ms) / 1000.0
        except (protocol.ProtocolError, AttributeError, TypeError, ValueError) as error:
            connection.send(refusal(request_id, 400, "BAD_REQUEST", f"The request's meta cannot be read: {error}"))
            return
        if len(self._unfinished) >= self._spec.slots + _UNFINISHED_LIMIT:
            connection.send(refusal(request_id, 429, "REQUEST_LIMIT_EXCEEDED", _TOO_MANY))
            return
        job = Job(connection, Asked(request_id, content_type, body, time.monotonic() + limit_s))
        connection.jobs[request_id] = job
        try:
            self._submit(job)
        except RuntimeError as error:
            self._unfinished.discard(job)
            self._close(job)
            connection.send(refusal(request_id, 503, "TEMPORARILY_UNAVAILABLE", f"{_NO_THREAD}: {error}"))

    def abandon(self, job: Job) -> None:
        """Its client has left: what can be stopped is stopped, the rest dropped."""
        self._close(job)
        self._stop(job)
        self._check_drained()

    def _submit(self, job: Job) -> None:
        self._unfinished.add(job)
        self._executor.submit(job, len(self._unfinished))
        if self._sweep is None or job.deadline < self._sweep.when():
            self._sweep_at(job.deadline)

    def _stop(self, job: Job) -> None:
        job.cancel()
        if job.is_streaming:
            self._loop.call_later(_STREAM_GRACE_S, job.interrupt)
        else:
            job.interrupt()

    def _close(self, job: Job) -> None:
        """No answer is to be sent any more."""
        job.is_open = False
        job.body = b""
        job.owner.jobs.pop(job.request_id, None)

    def _sweep_at(self, when: float) -> None:
        if self._sweep is not None:
            self._sweep.cancel()
        self._sweep = self._loop.call_at(when, self._expire)

    def _expire(self) -> None:
        """Answers what is past its deadline; one timer for all requests."""
        self._sweep = None
        now = time.monotonic()
        waiting = [job for job in self._unfinished if job.is_open]
        for job in waiting:
            if job.deadline <= now:
                self._overdue(job)
        later = [job.deadline for job in waiting if job.is_open]
        if later:
            self._sweep_at(min(later))
        self._check_drained()

    def _overdue(self, job: Job) -> None:
        message = _OVERDUE.format(limit=round(job.deadline - job.received, 3))
        if job.is_streaming:
            job.owner.send(protocol.encode(protocol.CHUNK, job.request_id, error_event(message)))
            job.owner.send(protocol.encode(protocol.END, job.request_id))
        else:
            job.owner.send(refusal(job.request_id, 504, "DEADLINE_EXCEEDED", message))
        self._close(job)
        self._stop(job)

    # -- what the threads post -----------------------------------------------------------------------------------

    def _post(self, job: Job, frame: bytes, is_over: bool) -> None:
        """Called by the executor's threads."""
        self._posted.append((job, frame, is_over))
        if not self._is_woken:
            self._is_woken = True
            self._loop.call_soon_threadsafe(self._collect)

    def _collect(self) -> None:
        self._is_woken = False
        while self._posted:
            job, frame, is_over = self._posted.popleft()
            job.is_streaming = job.is_streaming or not is_over
            if job.is_open and frame:
                job.owner.send(frame, None if is_over else job.room)
            elif job.room is not None and not is_over:
                job.room.release()
            if is_over:
                self._over(job)

    def _over(self, job: Job) -> None:
        self._unfinished.discard(job)
        if job.is_open:
            self._close(job)
            if isinstance(job.owner, Connection):
                self._served += 1
                if not self._knows_modules:
                    self._report_modules()
        self._check_drained()

    # -- health and end (connection.Host) ------------------------------------------------------------------------

    def hello(self) -> bytes:
        slots = self._spec.slots
        told = {"version": protocol.VERSION, "replica": self._spec.replica, "slots": slots, "window": slots}
        return json.dumps(told, separators=(",", ":")).encode()

    def health(self) -> bytes:
        now = time.monotonic()
        executing = [job for job in self._unfinished if job.thread is not None]
        told = {
            "executing": len(executing),
            "queued": len(self._unfinished) - len(executing),
            "stuck": sum(job.deadline <= now for job in executing),
            "served": self._served,
            "rss_bytes": status.rss_bytes(),
        }
        return json.dumps(told, separators=(",", ":")).encode()

    def opened(self, connection: Connection) -> None:
        self._connections.add(connection)

    def closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
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

    # -- log -----------------------------------------------------------------------------------------------------

    def _hear(self, line: str) -> None:
        """Called by whichever thread logs; agents get the line on the loop."""
        if not self._lines:
            self._lines.append(line)
            try:
                self._loop.call_soon_threadsafe(self._pass_lines_on)
            except RuntimeError:
                self._lines.clear()  # the loop is closed
        else:
            self._lines.append(line)

    def _pass_lines_on(self) -> None:
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        for connection in self._connections:
            if connection.role == "agent" and not connection.is_congested:
                for line in lines:
                    connection.send(protocol.encode(protocol.LOG, 0, line.encode("utf-8", "backslashreplace")))


class _Rehearsal:
    """Stands in for a connection while the model warms up."""

    def __init__(self, answered: asyncio.Future[bytes]) -> None:
        self.jobs: dict[int, Job] = {}
        self._answered = answered

    def send(self, frame: bytes, room: object = None) -> None:
        if not self._answered.done():
            self._answered.set_result(frame)
