"""Threads that execute requests, at most `slots` at once, and the art of stopping one. Used by `serving` on its event loop.

A thread is stopped by an exception raised into it. That must never hit a later request: canceller and thread agree, without
a lock that an asynchronous exception could leave held, on who was first (`Job.interrupt`, `_settle`).
"""

from __future__ import annotations

import ctypes
import queue
import threading
import time
from typing import Any, Callable, List, NamedTuple, Optional, Union

from headgate_worker import protocol
from headgate_worker.scoring import Answer, Cancelled, Events, error_body

_CHUNKS_AHEAD = 64
"""Chunks of one stream that are made but not written yet."""
_raise_in_thread = ctypes.PyDLL(None).PyThreadState_SetAsyncExc
_raise_in_thread.argtypes = (ctypes.c_ulong, ctypes.py_object)

Score = Callable[[str, bytes], Union[Answer, Events]]
Post = Callable[["Job", bytes, bool], None]
"""(job, frame, whether the job is over): hands a frame to the event loop; empty when there is nothing to send."""


class Asked(NamedTuple):
    """What a client asks for."""

    request_id: int
    content_type: str
    body: bytes
    deadline: float
    """On `time.monotonic`."""


class Job:
    """One request. Fields are written by the loop unless they say otherwise."""

    __slots__ = (
        "_gave_up", "_interrupting", "_left", "body", "content_type", "deadline", "is_cancelled", "is_open", "is_streaming",
        "owner", "received", "request_id", "room", "thread",
    )  # fmt: skip

    def __init__(self, owner: Any, asked: Asked) -> None:
        self.owner = owner
        """Who asked; opaque here."""
        self.request_id, self.content_type, self.body, self.deadline = asked
        self.received = time.monotonic()
        self.is_open = True
        """Whether an answer is still to be sent."""
        self.is_cancelled = False
        self.is_streaming = False
        """Whether part of its answer is sent."""
        self.room: Optional[threading.Semaphore] = None
        """Streams take one for a chunk they make; whoever wrote the chunk gives it back."""
        self.thread: Optional[int] = None
        """The thread that executes it. Written by that thread."""
        self._left = False
        self._interrupting = False
        self._gave_up = False

    def cancel(self) -> None:
        """Nobody waits for it any more: it will not be started, and a stream ends with its next chunk."""
        self.is_cancelled = True
        if self.room is not None:
            self.room.release()

    def interrupt(self) -> None:
        """Raises `Cancelled` in its thread, if that is still at it. At most once."""
        if self._interrupting:
            return
        self._interrupting = True
        if self.thread is not None and not self._left:
            _raise_in_thread(self.thread, Cancelled)
        self._gave_up = True


class Executor:
    """Up to `slots` daemon threads, started when they are first needed. `submit` on one thread only."""

    def __init__(self, slots: int, score: Score, post: Post) -> None:
        self._slots = slots
        self._score = score
        self._post = post
        self._queue: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._threads: List[threading.Thread] = []

    def submit(self, job: Job, unfinished: int) -> None:
        """Executes it when a thread is free; `unfinished` counts the jobs not over yet, this one included.

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
        self._queue.put(job)

    def _work(self) -> None:
        job: Optional[Job] = None
        frame = b""
        while True:
            try:
                if job is not None:
                    _settle(job)
                    self._post(job, frame, True)
                    job, frame = None, b""
                job = self._queue.get()
                job.thread = threading.get_ident()
                if not job.is_cancelled:
                    frame = self._execute(job)
            except Cancelled:
                pass

    def _execute(self, job: Job) -> bytes:
        """The job's last frame."""
        began = time.monotonic()
        outcome = self._score(job.content_type, job.body)
        timing = f'"queue_us":{int((began - job.received) * 1e6)},"execute_us":{int((time.monotonic() - began) * 1e6)}'
        if isinstance(outcome, Answer):
            return reply(job.request_id, outcome, timing)
        try:
            return self._stream(job, outcome, timing)
        finally:
            outcome.close()

    def _stream(self, job: Job, events: Events, timing: str) -> bytes:
        job.room = threading.Semaphore(_CHUNKS_AHEAD)
        meta = f'{{"status":200,"content_type":"text/event-stream",{timing}}}'.encode()
        self._post(job, protocol.encode(protocol.STREAM, job.request_id, meta), False)
        for event in events:
            if not job.room.acquire(timeout=max(0.0, job.deadline - time.monotonic())) or job.is_cancelled:
                raise Cancelled
            self._post(job, protocol.encode(protocol.CHUNK, job.request_id, event), False)
        return protocol.encode(protocol.END, job.request_id)


def reply(request_id: int, answer: Answer, timing: str = '"queue_us":0,"execute_us":0') -> bytes:
    """A REPLY frame."""
    meta = f'{{"status":{answer.status},"content_type":"{answer.content_type}",{timing}}}'.encode()
    return protocol.encode_with_meta(protocol.REPLY, request_id, meta, answer.body)


def refusal(request_id: int, status: int, error_code: str, message: str) -> bytes:
    """A REPLY frame for a request that was not executed to its end."""
    return reply(request_id, Answer(status, "application/json", error_body(error_code, message)))


def _settle(job: Job) -> None:
    """Returns once no interruption of `job` can reach this thread any more. Called by the thread that executed it.

    Both sides first write their own flag and then read the other's, so at least one sees the other: either nothing is raised
    any more, or this thread waits until it has been and takes it back.
    """
    while True:
        try:
            job._left = True
            while job._interrupting and not job._gave_up:
                time.sleep(0)
            if job._interrupting:
                _raise_in_thread(threading.get_ident(), ctypes.py_object())
            return
        except Cancelled:
            pass
