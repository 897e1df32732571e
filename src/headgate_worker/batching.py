"""Micro-batching without a timer: what comes while the model is busy waits in one line, and the next call takes all of it that can
be predicted together. Nothing waits when the model is idle. Used by `serving`, on its event loop but for `Batch.execute`.

A library's own code that is quick enough runs right here, on the loop: one read, one prediction, one write.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import Callable, Deque, List, NamedTuple, Optional, Protocol, Sequence

from headgate_worker.executing import Execution, Frame, Job, Post, Score, Timing
from headgate_worker.rows import Rows
from headgate_worker.scoring import Answer

INLINE_BODY_BYTES = 64 * 1024
"""Larger bodies are read in a thread."""
_TURN_S = 0.01
"""So long the loop goes on answering before it looks at its sockets again."""
_QUICK_S, _TOO_SLOW_S, _FAR_TOO_SLOW_S = 0.003, 0.005, 0.02
_PROOF, _MOST_PROOF = 4, 256
_SMOOTHING = 1 / 16
_log = logging.getLogger("headgate_worker")


class FastScorer(Protocol):
    """What is used of `scoring.Scorer`."""

    @property
    def joins(self) -> bool: ...
    @property
    def is_native(self) -> bool: ...
    def answer_unchecked(self, batch: Sequence[Rows]) -> List[Answer]: ...
    def wants_check(self, requests: int) -> bool: ...
    def checked(self, batch: Sequence[Rows], answers: List[Answer]) -> List[Answer]: ...


class Desk(Protocol):
    """Who hands requests in, and takes answers out."""

    def submit(self, execution: Execution) -> bool:
        """Has a thread execute it. False when there is none; a request is then refused."""

    def answered(self, jobs: Sequence[Job], answers: Sequence[Answer], took: Timing) -> None:
        """These jobs are over; those without an answer are the last ones."""

    def overdue(self, job: Job) -> None:
        """It is past its deadline."""

    def flush(self) -> None:
        """Writes what is answered."""

    def later(self, function: Callable[[], None]) -> None:
        """Calls it once sockets have been looked at."""


class Limits(NamedTuple):
    """Of one batch."""

    requests: int
    rows: int


class Pace:
    """Whether calls are so short that the event loop may make them itself. Never assumed: the first few run in a thread, and each
    time it turns out wrong, more proof is wanted."""

    def __init__(self) -> None:
        self.is_quick = False
        self._average_s = 0.0
        self._seen = 0
        self._wanted = _PROOF

    def took(self, seconds: float) -> None:
        """Notes a call."""
        self._seen += 1
        if self._seen == 1:
            self._average_s = seconds
        self._average_s += (seconds - self._average_s) * _SMOOTHING
        if seconds > _FAR_TOO_SLOW_S or (self.is_quick and self._average_s > _TOO_SLOW_S):
            if self.is_quick:
                self._wanted = min(_MOST_PROOF, 2 * self._wanted)
            self.is_quick, self._seen = False, 0
        elif not self.is_quick and self._seen >= self._wanted and self._average_s < _QUICK_S:
            self.is_quick = True


Answering = Callable[[Sequence[Rows]], List[Answer]]


class Batch(Execution):
    """Requests that a thread answers together. Which ones is decided when it begins, so that all that wait by then are taken."""

    __slots__ = ("_answer", "_take", "answers", "began", "is_check", "jobs", "took_s")

    def __init__(self, take: Callable[[], List[Job]], answer: Answering, is_check: bool = False) -> None:
        super().__init__()
        self._take, self._answer = take, answer
        self.is_check = is_check
        """Whether its one request is answered by MLflow too, and compared."""
        self.jobs: List[Job] = []
        """Those that are answered, then those whose clients had left by then."""
        self.answers: List[Answer] = []
        self.began = self.took_s = 0.0

    def execute(self, score: Score, post: Post) -> Frame:
        """See Execution."""
        live: List[Job] = []
        gone: List[Job] = []
        # Until `jobs` is complete, no job names this batch: nobody can interrupt it.
        self.jobs = jobs = self._take()
        for job in jobs:
            job.batch = self
        for job in jobs:
            (gone if job.is_cancelled else live).append(job)
        self.jobs = live + gone
        self.began = time.monotonic()
        if live:
            self.answers = self._answer([job.rows for job in live if job.rows is not None])
            self.took_s = time.monotonic() - self.began
        return ()


class Line:
    """Decoded requests, first come first served. One at a time takes from it: the loop, or the thread of the one batch there is."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._jobs: Deque[Job] = deque()

    def __len__(self) -> int:
        return len(self._jobs)

    def add(self, job: Job) -> None:
        """Its `rows` are known."""
        self._jobs.append(job)

    def clear(self) -> List[Job]:
        """All of them."""
        jobs = list(self._jobs)
        self._jobs.clear()
        return jobs

    def take(self, joins: bool) -> List[Job]:
        """The first, and if it `joins`, all that can be predicted with it, up to the limits."""
        waiting = self._jobs
        if not waiting:
            return []
        taken = [waiting.popleft()]
        first = taken[0].rows
        if not joins or first is None:
            return taken
        passed: List[Job] = []
        key, rows, most = first.key, first.count, self._limits.requests
        while waiting and len(taken) < most:
            job = waiting.popleft()
            count = job.rows.count if job.rows is not None else 0
            if rows + count > self._limits.rows or job.rows is None or job.rows.key != key:
                passed.append(job)
            else:
                taken.append(job)
                rows += count
        waiting.extendleft(reversed(passed))
        return taken


class Batcher:
    """Answers what is in line: on the loop while the model is quick, else in threads."""

    def __init__(self, scorer: FastScorer, limits: Limits, desk: Desk) -> None:
        self._scorer = scorer
        self._desk = desk
        self._line = Line(limits)
        self._pace = Pace()
        self._batch: Optional[Batch] = None
        """The one that a thread executes, or is to."""
        self.batches = 0
        """Calls that answered more than one request."""
        self.joined = 0
        """Requests they answered."""

    def __len__(self) -> int:
        return len(self._line)

    def add(self, job: Job) -> None:
        """Its `rows` are known; it waits until `run`."""
        self._line.add(job)

    @property
    def _is_quick(self) -> bool:
        return self._pace.is_quick and self._scorer.is_native

    def run(self) -> None:
        """Answers what waits, or sees to it. Call it after each `add`, once all of a turn's are there."""
        if self._batch is not None:
            return
        until = time.monotonic() + _TURN_S
        while len(self._line) and self._is_quick:
            ended = self._answer_here()
            if len(self._line):
                self._desk.flush()
                if ended > until:
                    self._desk.later(self.run)
                    return
        if len(self._line):
            self._hand_over()

    def _answer_here(self) -> float:
        """Answers one batch; the time."""
        began = time.monotonic()
        live: List[Job] = []
        gone: List[Job] = []
        for job in self._line.take(self._scorer.joins):
            if job.is_open and job.deadline <= began:
                self._desk.overdue(job)
            (live if job.is_open else gone).append(job)
        answers: List[Answer] = []
        if live:
            try:
                answers = self._scorer.answer_unchecked([job.rows for job in live if job.rows is not None])
            except Exception:  # a fault of ours: those who wait are told so
                _log.exception("a batch failed")
        ended = time.monotonic()
        self._deliver(live + gone, answers, Timing(began, ended))
        return ended

    def _deliver(self, jobs: List[Job], answers: List[Answer], took: Timing) -> None:
        """Hands answers out. Now and then the first one's request waits until MLflow has answered it too, in a thread."""
        if answers:
            self._pace.took(took.seconds)
        if len(answers) > 1:
            self.batches += 1
            self.joined += len(answers)
        if answers and self._scorer.wants_check(len(answers)):
            batch = [job.rows for job in jobs[: len(answers)] if job.rows is not None]
            first, theirs = jobs[:1], answers
            if self._desk.submit(Batch(lambda: first, lambda _: self._scorer.checked(batch, theirs)[:1], True)):
                jobs, answers = jobs[1:], answers[1:]
        self._desk.answered(jobs, answers, took)

    def _hand_over(self) -> None:
        """Has threads answer what waits: all of it as one batch if it can be joined, else each for itself."""
        if self._scorer.joins:
            self._batch = Batch(lambda: self._line.take(self._scorer.joins), self._scorer.answer_unchecked)
            if self._desk.submit(self._batch):
                return
            self._batch = None
        for job in self._line.clear():
            batch = Batch(lambda job=job: [job], self._scorer.answer_unchecked)  # type: ignore[misc]
            if not self._desk.submit(batch):
                self._desk.submit(job)

    def over(self, batch: Batch) -> None:
        """A thread is done with it."""
        if self._batch is batch:
            self._batch = None
        jobs, batch.jobs = batch.jobs, []
        took = Timing(batch.began, batch.began + batch.took_s)
        if batch.is_check:
            self._desk.answered(jobs, batch.answers, took)
        else:
            self._deliver(jobs, batch.answers, took)

    def let_go(self, batch: Batch) -> None:
        """Nobody waits for one of its requests any more. If nobody waits for any, it is interrupted, and the next one need not wait
        for its end."""
        if any(job.is_open for job in batch.jobs):
            return
        batch.interrupt()
        if self._batch is batch:
            self._batch = None
            self.run()
