"""Threads that execute requests, at most `slots` at once, and the art of stopping one. Used by `serving` on its event loop.

A thread is stopped by an exception raised into it. That must never hit what it executes later: canceller and thread agree,
without a lock that an asynchronous exception could leave held, on who was first (`Execution.interrupt`, `settle`).
"""

from __future__ import annotations

import ctypes
import logging
import queue
import threading
import time
from typing import Any, Callable, List, Optional, Sequence, Tuple, Union

from headgate_worker import protocol, redaction
from headgate_worker.rows import Rows
from headgate_worker.scoring import Answer, Cancelled, Events, error_body

_CHUNKS_AHEAD = 64
"""Chunks of one stream that are made but not written yet."""
_raise_in_thread = ctypes.PyDLL(None).PyThreadState_SetAsyncExc
_raise_in_thread.argtypes = (ctypes.c_ulong, ctypes.py_object)
_log = logging.getLogger("headgate_worker")

Frame = Sequence[bytes]
"""The parts of one frame; none when there is nothing to send."""
Score = Callable[["Job"], Union[Answer, Events]]
Post = Callable[["Execution", Frame, bool], None]
"""(execution, frame, whether it is over): hands a frame to the event loop."""
Asked = Tuple[int, str, bytes, float, float]
"""Request id, content type, body; when it was received and its deadline, on `time.monotonic`."""


class Execution:
    """What one thread executes at a time: a request, or several joined."""

    __slots__ = ("_gave_up", "_interrupting", "_left", "thread")

    def __init__(self) -> None:
        self.thread: Optional[int] = None
        """The thread that executes it. Written by that thread."""
        self._left = False
        self._interrupting = False
        self._gave_up = False

    def execute(self, score: Score, post: Post) -> Frame:
        """Does it; the last frame. Called by a thread; only `Cancelled` gets out."""
        raise NotImplementedError

    def interrupt(self) -> None:
        """Raises `Cancelled` in its thread, if that is still at it. At most once."""
        if self._interrupting:
            return
        self._interrupting = True
        if self.thread is not None and not self._left:
            _raise_in_thread(self.thread, Cancelled)
        self._gave_up = True

    def settle(self) -> None:
        """Returns once no interruption can reach this thread any more. Called by the thread that executed it.

        Both sides first write their own flag and then read the other's, so at least one sees the other: either nothing is
        raised any more, or this thread waits until it has been and takes it back.
        """
        while True:
            try:
                self._left = True
                while self._interrupting and not self._gave_up:
                    time.sleep(0)
                if self._interrupting:
                    _raise_in_thread(threading.get_ident(), ctypes.py_object())
                return
            except Cancelled:
                pass


class Job(Execution):
    """One request. Fields are written by the loop unless they say otherwise."""

    __slots__ = (
        "api", "batch", "body", "content_type", "deadline", "is_cancelled", "is_open", "is_streaming", "owner", "received",
        "request_id", "room", "rows",
    )  # fmt: skip

    def __init__(self, owner: Any, asked: Asked) -> None:
        # Not by super(): one is made for every request.
        self._left = self._interrupting = self._gave_up = False
        self.thread = None
        self.owner = owner
        """Who asked; opaque here."""
        self.request_id, self.content_type, self.body, self.received, self.deadline = asked
        self.api = ""
        """By which route it came; empty: `invocations`."""
        self.rows: Optional[Rows] = None
        """What the body says, if that is known already."""
        self.batch: Optional[Execution] = None
        """With which others it is executed. Written by the thread that executes them."""
        self.is_open = True
        """Whether an answer is still to be sent."""
        self.is_cancelled = False
        self.is_streaming = False
        """Whether part of its answer is sent."""
        self.room: Optional[threading.Semaphore] = None
        """Streams take one for a chunk they make; whoever wrote the chunk gives it back."""

    def cancel(self) -> None:
        """Nobody waits for it any more: it will not be started, and a stream ends with its next chunk."""
        self.is_cancelled = True
        if self.room is not None:
            self.room.release()

    def execute(self, score: Score, post: Post) -> Frame:
        """See Execution."""
        if self.is_cancelled:
            return ()
        began = time.monotonic()
        outcome = score(self)
        took = Timing(began, time.monotonic())
        if isinstance(outcome, Answer):
            return reply(self.request_id, outcome, took.of(self))
        try:
            return self._stream(outcome, took, post)
        finally:
            outcome.close()

    def _stream(self, events: Events, took: Timing, post: Post) -> Frame:
        self.room = threading.Semaphore(_CHUNKS_AHEAD)
        meta = f'{{"status":200,"content_type":"text/event-stream",{took.of(self)}}}'.encode()
        post(self, (protocol.encode(protocol.STREAM, self.request_id, meta),), False)
        for event in events:
            if not self.room.acquire(timeout=max(0.0, self.deadline - time.monotonic())) or self.is_cancelled:
                raise Cancelled
            post(self, (protocol.encode(protocol.CHUNK, self.request_id, event),), False)
        return (protocol.encode(protocol.END, self.request_id),)


class Timing:
    """When an execution began and how long it took, for the meta of its answers."""

    __slots__ = ("_began", "_took", "seconds")

    def __init__(self, began: float, ended: float) -> None:
        self._began = began
        self.seconds = ended - began
        self._took = f',"execute_us":{int(self.seconds * 1e6)}'

    def of(self, job: Job) -> str:
        """That part of the meta."""
        return f'"queue_us":{int((self._began - job.received) * 1e6)}{self._took}'


class Executor:
    """Up to `slots` daemon threads, started when they are first needed. `submit` on one thread only."""

    def __init__(self, slots: int, score: Score, post: Post) -> None:
        self._slots = slots
        self._score = score
        self._post = post
        self._queue: queue.SimpleQueue[Execution] = queue.SimpleQueue()
        self._threads: List[threading.Thread] = []

    def submit(self, execution: Execution, unfinished: int) -> None:
        """Executes it when a thread is free; `unfinished` counts the executions not over yet, this one included.

        Raises RuntimeError when there is no thread and none can be started (memory or task limits).
        """
        if len(self._threads) < min(self._slots, unfinished):
            thread = threading.Thread(target=self._work, name=f"predict-{len(self._threads)}", daemon=True)
            try:
                thread.start()
                self._threads.append(thread)
            except RuntimeError:
                if not self._threads:
                    raise
        self._queue.put(execution)

    def _work(self) -> None:
        execution: Optional[Execution] = None
        frame: Frame = ()
        while True:
            try:
                if execution is not None:
                    execution.settle()
                    self._post(execution, frame, True)
                    execution, frame = None, ()
                execution = self._queue.get()
                execution.thread = threading.get_ident()
                frame = self._attempt(execution)
            except Cancelled:
                pass

    def _attempt(self, execution: Execution) -> Frame:
        try:
            return execution.execute(self._score, self._post)
        except Exception:  # a fault of ours: the thread goes on, and whoever waits is told by the loop
            _log.exception("an execution failed")
            return ()


def reply(request_id: int, answer: Answer, timing: str = '"queue_us":0,"execute_us":0') -> Frame:
    """A REPLY frame."""
    status, content_type, body = answer
    if status >= 400:
        body = redaction.redacted_bytes(body)
    meta = f'{{"status":{status},"content_type":"{content_type}",{timing}}}'.encode()
    return protocol.encode_head(protocol.REPLY, request_id, meta, len(body)), body


def refusal(request_id: int, status: int, error_code: str, message: str) -> Frame:
    """A REPLY frame for a request that was not executed to its end."""
    return reply(request_id, Answer(status, "application/json", error_body(error_code, message)))
