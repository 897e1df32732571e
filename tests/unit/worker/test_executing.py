"""Threads, cancellation, streams: the executor without sockets and without MLflow."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from headgate_worker import protocol
from headgate_worker.executing import Executor, Job
from headgate_worker.scoring import Answer, Cancelled

OK = Answer(200, "application/json", b"{}")
Posts = "queue.Queue[tuple[Execution, Frame, bool]]"


class Pieces:
    """A streamed answer that notes its end."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self.is_closed = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def close(self) -> None:
        self.is_closed.set()


def job(number: int = 1, seconds: float = 60.0) -> Job:
    now = time.monotonic()
    return Job(None, (number, "application/json", b"{}", now, now + seconds))


def executor(score: Callable[[str, bytes], object], slots: int = 1) -> tuple[Executor, Posts]:
    posted: Posts = queue.Queue()
    made = Executor(slots, lambda job: score(job.content_type, job.body), lambda *post: posted.put(post))  # type: ignore[arg-type, return-value]
    return made, posted


def over(posted: Posts) -> tuple[Job, bytes]:
    """The next job that is over, with its last frame."""
    while True:
        done, frame, is_over = posted.get(timeout=30)
        if is_over:
            assert isinstance(done, Job)
            return done, b"".join(frame)


def test_at_most_slots_requests_execute_at_once() -> None:
    running, most, lock, release = 0, 0, threading.Lock(), threading.Event()
    begun: queue.Queue[None] = queue.Queue()

    def score(content_type: str, body: bytes) -> Answer:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        begun.put(None)
        release.wait(30)
        with lock:
            running -= 1
        return OK

    subject, posted = executor(score, slots=3)
    for number in range(9):
        subject.submit(job(number), number + 1)
    for _ in range(3):
        begun.get(timeout=30)
    release.set()
    assert len({over(posted)[0].request_id for _ in range(9)}) == 9
    assert most == 3


def test_threads_are_started_only_when_they_are_needed() -> None:
    seen: set[str] = set()

    def score(content_type: str, body: bytes) -> Answer:
        seen.add(threading.current_thread().name)
        return OK

    subject, posted = executor(score, slots=8)
    for number in range(20):
        subject.submit(job(number), 1)
        over(posted)
    assert len(seen) == 1


def test_a_cancelled_job_that_waits_never_starts() -> None:
    begun, release = threading.Event(), threading.Event()
    bodies: list[bytes] = []

    def score(content_type: str, body: bytes) -> Answer:
        bodies.append(body)
        begun.set()
        release.wait(30)
        return OK

    subject, posted = executor(score)
    first, second = job(1), job(2)
    subject.submit(first, 1)
    begun.wait(30)
    subject.submit(second, 2)
    second.cancel()
    second.interrupt()
    release.set()
    assert over(posted)[0] is first
    done, frame = over(posted)
    assert (done, frame, len(bodies)) == (second, b"", 1)


def test_interrupting_at_random_moments_hits_the_interrupted_job_only() -> None:
    """The race that matters: an interruption that arrives when its job has just ended."""
    hit: list[bytes] = []

    def score(content_type: str, body: bytes) -> Answer:
        try:
            for _ in range(20):
                pass
        except Cancelled:
            hit.append(body)
            raise
        return OK

    subject, posted = executor(score)
    rounds = 300
    for number in range(rounds):
        doomed, wanted = job(2 * number), job(2 * number + 1)
        wanted.body = b"wanted"
        subject.submit(doomed, 1)
        subject.submit(wanted, 2)
        if number % 2:
            while doomed.thread is None:
                pass
        doomed.cancel()
        doomed.interrupt()
        for _ in range(2):
            done, frame = over(posted)
            if done is wanted:
                assert frame[4] == protocol.REPLY
    assert b"wanted" not in hit


def test_a_job_is_interrupted_at_most_once() -> None:
    begun, caught = threading.Event(), []

    def score(content_type: str, body: bytes) -> Answer:
        begun.set()
        try:
            while True:
                time.sleep(0.001)
        except Cancelled:
            caught.append(1)
        return OK

    subject, posted = executor(score)
    doomed = job()
    subject.submit(doomed, 1)
    begun.wait(30)
    doomed.interrupt()
    doomed.interrupt()
    assert over(posted)[0] is doomed
    assert caught == [1]


def test_a_stream_makes_no_more_chunks_than_there_is_room_for() -> None:
    made = 0

    def endless() -> Iterator[bytes]:
        nonlocal made
        while True:
            made += 1
            yield b"x"

    pieces = Pieces(endless())
    subject, posted = executor(lambda content_type, body: pieces)
    doomed = job(seconds=0.5)
    subject.submit(doomed, 1)
    # Nobody gives room back: its deadline ends it.
    done, frame = over(posted)
    assert (done, frame) == (doomed, b"")
    assert made <= 66
    assert pieces.is_closed.is_set()


def test_a_cancelled_stream_that_waits_for_room_ends_and_is_closed() -> None:
    pieces = Pieces(iter([b"x"] * 1000))
    subject, posted = executor(lambda content_type, body: pieces)
    doomed = job()
    subject.submit(doomed, 1)
    for _ in range(65):
        posted.get(timeout=30)
    doomed.cancel()
    assert over(posted) == (doomed, b"")
    assert pieces.is_closed.is_set()


@pytest.mark.parametrize("count", [0, 1, 5])
def test_a_stream_is_its_meta_its_chunks_and_its_end(count: int) -> None:
    subject, posted = executor(lambda content_type, body: Pieces(iter([b"x"] * count)))
    subject.submit(job(), 1)
    kinds = []
    while not kinds or kinds[-1] != protocol.END:
        kinds.append(posted.get(timeout=30)[1][0][4])
    assert kinds == [protocol.STREAM, *[protocol.CHUNK] * count, protocol.END]


def test_a_thread_that_cannot_be_started_is_told_unless_another_one_can_do_the_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    subject, posted = executor(lambda content_type, body: OK, slots=2)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        with pytest.raises(RuntimeError):
            subject.submit(job(1), 1)
    subject.submit(job(2), 1)
    assert over(posted)[0].request_id == 2
    monkeypatch.setattr(threading.Thread, "start", fail)
    subject.submit(job(3), 2)
    assert over(posted)[0].request_id == 3
