"""Which requests are answered together, where, and what happens to those that nobody waits for: without sockets and MLflow."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import pytest

from headgate_worker.batching import Batch, Batcher, Limits, Line, Pace
from headgate_worker.executing import Execution, Job, Timing
from headgate_worker.rows import Rows
from headgate_worker.scoring import Answer, Cancelled


def job(number: int, key: str = "k", count: int = 1, seconds: float = 60.0) -> Job:
    now = time.monotonic()
    made = Job(None, (number, "application/json", b"", now, now + seconds))
    made.rows = Rows(count, key, number, b"", "application/json")
    return made


class Scorer:
    """Answers with the request's number; notes who was asked together."""

    def __init__(self, *, joins: bool = True, is_native: bool = True) -> None:
        self.joins, self.is_native = joins, is_native
        self.calls: list[list[int]] = []
        self.wants = False
        self.compared: list[list[int]] = []
        self.during: Callable[[], None] = lambda: None
        """Called while it predicts."""

    def wants_check(self, requests: int) -> bool:
        return self.wants

    def checked(self, batch: Sequence[Rows], answers: list[Answer]) -> list[Answer]:
        self.compared.append([rows.values for rows in batch])
        return [Answer(200, "application/json", answer.body + b" checked") for answer in answers]

    def answer_unchecked(self, batch: Sequence[Rows]) -> list[Answer]:
        self.calls.append([rows.values for rows in batch])
        self.during()
        return [Answer(200, "application/json", b"%d" % rows.values) for rows in batch]


class Desk:
    """Keeps what a thread would execute, and what is answered."""

    def __init__(self) -> None:
        self.executions: list[Execution] = []
        self.answers: dict[int, bytes] = {}
        self.over: list[int] = []
        self.late: list[int] = []
        self.flushed = 0
        self.afterwards: list[Callable[[], None]] = []
        self.has_threads = True

    def submit(self, execution: Execution) -> bool:
        if self.has_threads:
            self.executions.append(execution)
        elif isinstance(execution, Job):
            self.over.append(execution.request_id)
        return self.has_threads

    def answered(self, jobs: Sequence[Job], answers: Sequence[Answer], took: Timing) -> None:
        for done, answer in zip(jobs, answers, strict=False):
            assert done.request_id not in self.answers, "answered twice"
            if done.is_open:
                self.answers[done.request_id] = answer.body
        self.over += [done.request_id for done in jobs]

    def overdue(self, late: Job) -> None:
        late.is_open = False
        self.late.append(late.request_id)

    def flush(self) -> None:
        self.flushed += 1

    def later(self, function: Callable[[], None]) -> None:
        self.afterwards.append(function)


class Scene:
    """A batcher, its scorer and its desk."""

    def __init__(self, scorer: Scorer, limits: Limits = Limits(64, 1024)) -> None:
        self.scorer, self.desk = scorer, Desk()
        self.batcher = Batcher(scorer, limits, self.desk)

    def ask(self, *jobs: Job) -> None:
        for each in jobs:
            self.batcher.add(each)
        self.batcher.run()

    def execute(self) -> Batch:
        """What a thread does with the first execution; not told to the batcher yet."""
        execution = self.desk.executions.pop(0)
        assert isinstance(execution, Batch)
        execution.thread = threading.get_ident()
        execution.execute(lambda job: pytest.fail("alone"), lambda *post: pytest.fail("a stream"))
        return execution

    def finish(self) -> None:
        self.batcher.over(self.execute())
        self.batcher.run()

    def prove_quick(self) -> None:
        """Threads have shown that it is."""
        for number in range(-20, 0):
            self.ask(job(number))
            if self.desk.executions:
                self.finish()
        assert not self.desk.executions
        self.scorer.calls.clear()
        self.desk.over.clear()


# -- in threads ------------------------------------------------------------------------------------------------------


def test_a_request_to_an_idle_model_does_not_wait_for_others() -> None:
    scene = Scene(Scorer(is_native=False))
    scene.ask(job(1))
    scene.finish()
    assert (scene.scorer.calls, scene.desk.answers) == ([[1]], {1: b"1"})


def test_what_comes_while_the_model_is_busy_is_the_next_batch() -> None:
    scene = Scene(Scorer(is_native=False))
    scene.ask(job(1))
    busy = scene.execute()
    scene.ask(job(2), job(3))
    scene.ask(job(4))
    assert not scene.desk.executions, "one batch at a time"
    scene.batcher.over(busy)
    scene.batcher.run()
    scene.finish()
    assert scene.scorer.calls == [[1], [2, 3, 4]]
    assert scene.desk.answers == {number: b"%d" % number for number in range(1, 5)}
    assert (scene.batcher.batches, scene.batcher.joined) == (1, 3)


def test_what_comes_before_a_thread_has_begun_is_still_taken() -> None:
    scene = Scene(Scorer(is_native=False))
    scene.ask(job(1))
    scene.ask(job(2))
    scene.finish()
    assert scene.scorer.calls == [[1, 2]]


def test_only_equal_keys_are_joined_and_nobody_is_overtaken_for_long() -> None:
    scene = Scene(Scorer(is_native=False))
    scene.ask(job(1, "a"), job(2, "b"), job(3, "a"), job(4, "b"), job(5, "c"))
    for _ in range(3):
        scene.finish()
    assert scene.scorer.calls == [[1, 3], [2, 4], [5]]


@pytest.mark.parametrize(
    ("limits", "counts", "expected"),
    [
        (Limits(2, 100), [1, 1, 1], [[0, 1], [2]]),
        (Limits(9, 10), [6, 6, 4], [[0, 2], [1]]),
        (Limits(9, 10), [5000, 1], [[0], [1]]),
        (Limits(9, 10), [1, 5000, 1], [[0, 2], [1]]),
        (Limits(1, 1), [1, 1], [[0], [1]]),
    ],
)
def test_a_batch_keeps_to_its_limits_but_a_larger_request_is_predicted_alone(
    limits: Limits, counts: list[int], expected: list[list[int]]
) -> None:
    scene = Scene(Scorer(is_native=False), limits)
    scene.ask(*(job(number, count=count) for number, count in enumerate(counts)))
    while scene.desk.executions:
        scene.finish()
    assert scene.scorer.calls == expected


def test_requests_that_cannot_be_joined_are_executed_each_for_itself() -> None:
    scene = Scene(Scorer(joins=False))
    scene.ask(job(1), job(2))
    assert len(scene.desk.executions) == 2
    scene.finish()
    scene.finish()
    assert scene.scorer.calls == [[1], [2]]


def test_a_request_cancelled_before_its_batch_begins_is_not_executed() -> None:
    scene = Scene(Scorer(is_native=False))
    gone, staying = job(1), job(2)
    scene.ask(gone, staying)
    gone.is_open = False
    gone.cancel()
    scene.finish()
    assert scene.scorer.calls == [[2]]
    assert (scene.desk.answers, sorted(scene.desk.over)) == ({2: b"2"}, [1, 2])


def test_a_batch_of_cancelled_requests_is_not_executed_at_all() -> None:
    scene = Scene(Scorer(is_native=False))
    gone = job(1)
    scene.ask(gone)
    gone.is_open = False
    gone.cancel()
    scene.finish()
    assert (scene.scorer.calls, scene.desk.over) == ([], [1])


def test_a_batch_is_interrupted_only_when_nobody_waits_for_any_of_it() -> None:
    scene = Scene(Scorer(is_native=False))
    begun, interrupted = threading.Event(), threading.Event()
    steps: list[str] = []

    def forever() -> None:
        begun.set()
        try:
            while True:
                time.sleep(0.001)
        except Cancelled:
            interrupted.set()
            raise

    scene.scorer.during = forever
    jobs = [job(1), job(2)]
    scene.ask(*jobs)
    execution = scene.desk.executions.pop()
    assert isinstance(execution, Batch)

    def work() -> None:
        execution.thread = threading.get_ident()
        try:
            execution.execute(lambda job: pytest.fail("alone"), lambda *post: None)
        except Cancelled:
            steps.append("cancelled")
        execution.settle()

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(30)
    scene.ask(job(3))
    jobs[0].is_open = False
    scene.batcher.let_go(execution)
    assert not interrupted.is_set() and not scene.desk.executions
    jobs[1].is_open = False
    scene.batcher.let_go(execution)
    # The next batch need not wait for a thread that may never come back.
    assert len(scene.desk.executions) == 1
    thread.join(30)
    assert interrupted.is_set() and steps == ["cancelled"]
    scene.scorer.during = lambda: None
    scene.finish()
    scene.batcher.over(execution)
    assert (scene.desk.answers, sorted(scene.desk.over)) == ({3: b"3"}, [1, 2, 3])


def test_without_a_thread_every_request_is_refused() -> None:
    scene = Scene(Scorer(is_native=False))
    scene.desk.has_threads = False
    scene.ask(job(1), job(2))
    assert scene.desk.over == [1, 2]
    assert len(scene.batcher) == 0
    scene.desk.has_threads = True
    scene.ask(job(3))
    scene.finish()
    assert scene.desk.answers == {3: b"3"}


# -- on the loop -----------------------------------------------------------------------------------------------------


def test_a_quick_native_model_answers_a_turns_requests_at_once_and_here() -> None:
    scene = Scene(Scorer())
    scene.prove_quick()
    scene.ask(job(1), job(2), job(3, "other"))
    assert scene.scorer.calls == [[1, 2], [3]]
    assert not scene.desk.executions
    assert {1, 2, 3} <= scene.desk.answers.keys()


def test_code_of_the_users_never_runs_on_the_loop() -> None:
    scene = Scene(Scorer(is_native=False))
    for number in range(100):
        scene.ask(job(number))
        assert len(scene.desk.executions) == 1
        scene.finish()


def test_a_call_that_blocks_the_loop_moves_the_model_to_threads_until_it_is_proven_quick_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    scene = Scene(Scorer())
    scene.prove_quick()

    def blocks() -> None:
        nonlocal now
        now += 0.05

    scene.scorer.during = blocks
    scene.ask(job(1), job(2, "other"))
    assert scene.scorer.calls == [[1]], "the rest of the turn is not made to wait"
    scene.scorer.during = lambda: None
    threads = 0
    for number in range(3, 40):
        scene.ask(job(number))
        while scene.desk.executions:
            threads += 1
            scene.finish()
    assert 4 < threads < 20
    assert set(range(1, 40)) <= scene.desk.answers.keys()


def test_the_loop_looks_at_its_sockets_between_calls_when_there_is_much_to_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    scene = Scene(Scorer(joins=False))
    scene.prove_quick()

    def takes_a_while() -> None:
        nonlocal now
        now += 0.004

    scene.scorer.during = takes_a_while
    jobs = [job(number) for number in range(1, 8)]
    scene.ask(*jobs)
    assert len(scene.scorer.calls) == 3 and scene.desk.flushed == 3
    # Meanwhile a client leaves, and a deadline passes.
    jobs[3].is_open = False
    jobs[4].deadline = now
    while scene.desk.afterwards:
        scene.desk.afterwards.pop(0)()
    assert scene.scorer.calls == [[1], [2], [3], [6], [7]]
    assert scene.desk.late == [5]
    assert sorted(scene.desk.over) == [1, 2, 3, 4, 5, 6, 7]


def test_a_fault_of_the_scorer_is_over_for_each_request_and_the_loop_goes_on() -> None:
    scene = Scene(Scorer())
    scene.prove_quick()

    def fails() -> None:
        raise RuntimeError("no such thing")

    scene.scorer.during = fails
    scene.ask(job(1), job(2))
    assert scene.desk.over == [1, 2]
    assert not {1, 2} & scene.desk.answers.keys()
    scene.scorer.during = lambda: None
    scene.ask(job(3))
    assert scene.desk.answers[3] == b"3"


@pytest.mark.parametrize("is_native", [True, False])
def test_only_the_request_that_is_compared_with_mlflow_waits_for_it(is_native: bool) -> None:
    scene = Scene(Scorer(is_native=is_native))
    if is_native:
        scene.prove_quick()
    scene.scorer.wants = True
    scene.ask(job(1), job(2), job(3))
    if not is_native:
        scene.finish()
    scene.scorer.wants = False
    assert {2, 3} <= scene.desk.answers.keys() and 1 not in scene.desk.answers
    # Others need not wait for the comparison.
    scene.ask(job(4))
    if not is_native:
        check = scene.desk.executions.pop(0)
        scene.finish()
        scene.desk.executions.append(check)
    assert scene.desk.answers[4] == b"4"
    scene.finish()
    assert scene.desk.answers[1] == b"1 checked"
    assert scene.scorer.compared == [[1, 2, 3]]
    assert sorted(scene.desk.over) == [1, 2, 3, 4]


def test_without_a_thread_nothing_is_compared() -> None:
    scene = Scene(Scorer())
    scene.prove_quick()
    scene.scorer.wants, scene.desk.has_threads = True, False
    scene.ask(job(1))
    assert scene.desk.answers[1] == b"1"


def test_when_the_fast_path_is_switched_off_what_waits_goes_to_threads() -> None:
    scene = Scene(Scorer())
    scene.prove_quick()
    scene.batcher.add(job(1))
    scene.scorer.joins = scene.scorer.is_native = False
    scene.batcher.run()
    assert scene.scorer.calls == []
    scene.finish()
    assert scene.desk.answers[1] == b"1"


# -- the parts -------------------------------------------------------------------------------------------------------


def test_quick_is_never_assumed_and_each_disappointment_asks_for_more_proof() -> None:
    pace = Pace()
    needed = []
    for _ in range(4):
        count = 0
        while not pace.is_quick:
            pace.took(0.0001)
            count += 1
        needed.append(count)
        pace.took(0.05)
        assert not pace.is_quick
    assert needed == sorted(set(needed))


def test_a_model_that_is_slow_but_never_far_too_slow_leaves_the_loop_too() -> None:
    pace = Pace()
    while not pace.is_quick:
        pace.took(0.001)
    for _ in range(100):
        pace.took(0.008)
    assert not pace.is_quick


def test_one_preemption_does_not_move_a_quick_model() -> None:
    pace = Pace()
    while not pace.is_quick:
        pace.took(0.0001)
    pace.took(0.015)
    assert pace.is_quick


def test_a_line_keeps_the_order_of_those_it_passed_over() -> None:
    line = Line(Limits(3, 100))
    for number, key in enumerate("abacabc"):
        line.add(job(number, key))
    taken = [[each.request_id for each in line.take(True)] for _ in range(4)]
    assert taken == [[0, 2, 4], [1, 5], [3, 6], []]
