"""The worker's loop with a scorer of the test and without sockets: one read, one prediction, one write; every request answered once."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from headgate_worker import protocol
from headgate_worker.connection import Connection
from headgate_worker.rows import Rows
from headgate_worker.scoring import Answer, Cancelled
from headgate_worker.serving import Served, Worker
from headgate_worker.specification import WorkerSpec

JSON = "application/json"


class Scorer:
    """Echoes bodies. Those that begin with `!` are unusual."""

    def __init__(self, *, joins: bool = True, is_native: bool = True) -> None:
        self.joins, self.is_native, self.mismatches = joins, is_native, 0
        self.calls: list[list[bytes]] = []
        self.alone: list[bytes] = []
        self.begun, self.go = threading.Event(), threading.Event()
        self.go.set()

    def rows(self, content_type: str, body: bytes) -> Rows | None:
        if body == b"raises":
            raise RuntimeError("a fault of the decoder")
        return None if body.startswith(b"!") else Rows(1, "k", body, body, content_type)

    def wants_check(self, requests: int) -> bool:
        return False

    def answer(self, batch: Sequence[Rows]) -> list[Answer]:
        return self.answer_unchecked(batch)

    def answer_unchecked(self, batch: Sequence[Rows]) -> list[Answer]:
        self.calls.append([rows.body for rows in batch])
        self._execute()
        return [Answer(200, JSON, rows.body) for rows in batch]

    def score(self, content_type: str, body: bytes) -> Answer:
        self.alone.append(body)
        self._execute()
        return Answer(200, JSON, body)

    def _execute(self) -> None:
        self.begun.set()
        try:
            while not self.go.wait(0.005):
                pass
        except Cancelled:
            self.calls.append([b"cancelled"])
            raise


class Transport:
    """Keeps what is written, one entry per write."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.is_closed = False

    def set_write_buffer_limits(self, high: int) -> None: ...

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def write(self, part: bytes) -> None:
        self.writes.append(bytes(part))


class Status:
    """No file."""

    phases_ms: dict[str, float] = {}

    def tell(self, **changes: Any) -> None: ...
    def took(self, phase: str, milliseconds: float) -> None: ...
    def knows_modules(self, modules: list[str]) -> None: ...


class Peer:
    """A connected server."""

    def __init__(self, worker: Worker) -> None:
        self.transport = Transport()
        self.connection = Connection(worker, asyncio.get_running_loop())
        self.connection.connection_made(self.transport)  # type: ignore[arg-type]
        self._decoder = protocol.Decoder()
        self._read = 0
        self.answers: dict[int, tuple[dict[str, Any], bytes]] = {}
        self.read(protocol.encode_json(protocol.HELLO, 0, {"version": protocol.VERSION, "role": "server"}))
        self.transport.writes.clear()

    def read(self, *frames: bytes) -> None:
        """The connection has got these at once."""
        self.connection.data_received(b"".join(frames))

    def got(self) -> dict[int, tuple[int, bytes]]:
        """Status and body of all replies so far, by request id."""
        for written in self.transport.writes[self._read :]:
            for kind, number, meta, body in self._decoder.split(written):
                if kind == protocol.REPLY:
                    assert number not in self.answers, "answered twice"
                    self.answers[number] = json.loads(meta), body
        self._read = len(self.transport.writes)
        return {number: (meta["status"], body) for number, (meta, body) in self.answers.items()}

    def health(self) -> dict[str, Any]:
        self.read(protocol.encode(protocol.PING, 9))
        ((_, _, _, body),) = protocol.Decoder().split(self.transport.writes.pop())
        told: dict[str, Any] = json.loads(body)
        return told

    def leave(self) -> None:
        self.connection.connection_lost(None)


def request(number: int, body: bytes, deadline_ms: int = 60_000) -> bytes:
    meta = b'{"content_type":"application/json","request_id":"r","deadline_ms":%d}' % deadline_ms
    return protocol.encode_with_meta(protocol.REQUEST, number, meta, body)


async def until(condition: Callable[[], Any]) -> None:
    end = asyncio.get_running_loop().time() + 30
    while not condition():
        assert asyncio.get_running_loop().time() < end
        await asyncio.sleep(0.002)


def on_a_loop(scorer: Scorer, scene: Callable[[Worker], Awaitable[None]], **spec: Any) -> None:
    async def run() -> None:
        paths = dict.fromkeys(("socket_path", "status_path", "log_path", "model_path"), "/nowhere")
        told = WorkerSpec.from_json({"replica": "r", "slots": 2, "wants_modules": False, **paths, **spec})
        worker = Worker(told, Served(scorer, None), Status(), None)  # type: ignore[arg-type]
        await scene(worker)

    asyncio.run(run())


async def prove_quick(worker: Worker, scorer: Scorer) -> None:
    """Until the loop predicts by itself."""
    peer = Peer(worker)
    for number in range(1, 30):
        peer.read(request(number, b"proof"))
        await until(lambda number=number: number in peer.got())
    peer.leave()
    scorer.calls.clear()


def test_requests_of_one_read_are_predicted_in_one_call_and_answered_in_one_write() -> None:
    scorer = Scorer()

    async def scene(worker: Worker) -> None:
        await prove_quick(worker, scorer)
        peer = Peer(worker)
        peer.read(request(1, b"a"), request(2, b"b"), request(3, b"c"))
        assert len(peer.transport.writes) == 1
        assert peer.got() == {1: (200, b"a"), 2: (200, b"b"), 3: (200, b"c")}
        assert scorer.calls == [[b"a", b"b", b"c"]]
        told = peer.health()
        assert (told["batches"], told["joined"], told["native"], told["mismatches"]) == (1, 3, True, 0)
        assert (told["executing"], told["queued"], told["served"]) == (0, 0, 32)

    on_a_loop(scorer, scene)


def test_a_request_cancelled_in_the_same_read_is_not_executed() -> None:
    scorer = Scorer()

    async def scene(worker: Worker) -> None:
        await prove_quick(worker, scorer)
        peer = Peer(worker)
        peer.read(request(1, b"a"), request(2, b"b"), protocol.encode(protocol.CANCEL, 1))
        assert scorer.calls == [[b"b"]]
        assert peer.got() == {2: (200, b"b")}
        assert peer.connection.jobs == {}

    on_a_loop(scorer, scene)


def test_requests_of_several_servers_are_joined_and_each_gets_its_own_answers() -> None:
    scorer = Scorer()

    async def scene(worker: Worker) -> None:
        await prove_quick(worker, scorer)
        one, other = Peer(worker), Peer(worker)
        one.read(request(1, b"a"), request(2, b"b"))
        other.read(request(1, b"c"))
        await until(lambda: one.got() and other.got())
        assert scorer.calls == [[b"a", b"b", b"c"]]
        assert one.got() == {1: (200, b"a"), 2: (200, b"b")}
        assert other.got() == {1: (200, b"c")}

    on_a_loop(scorer, scene)


def test_a_ping_is_answered_while_a_batch_executes_and_says_so() -> None:
    scorer = Scorer(is_native=False)

    async def scene(worker: Worker) -> None:
        peer = Peer(worker)
        scorer.go.clear()
        peer.read(request(1, b"a"))
        await until(scorer.begun.is_set)
        peer.read(request(2, b"b"), request(3, b"c"))
        told = peer.health()
        assert (told["executing"], told["queued"], told["stuck"]) == (1, 2, 0)
        scorer.go.set()
        await until(lambda: len(peer.got()) == 3)
        assert scorer.calls == [[b"a"], [b"b", b"c"]]

    on_a_loop(scorer, scene)


def began_before_it_was_late(case: Callable[[int], bool]) -> bool:
    """Whether `case`, given milliseconds until a deadline, met its batch begun: with more of them where the machine is slow."""
    return any(case(deadline_ms) for deadline_ms in (20, 400, 8000))


def test_a_request_past_its_deadline_in_a_batch_is_answered_504_once_and_the_others_go_on() -> None:
    def late_in_a_batch(deadline_ms: int) -> bool:
        scorer = Scorer(is_native=False)

        async def scene(worker: Worker) -> None:
            peer = Peer(worker)
            scorer.go.clear()
            peer.read(request(1, b"late", deadline_ms=deadline_ms), request(2, b"b"))
            await until(lambda: 1 in peer.got())
            assert peer.got()[1][0] == 504
            assert peer.health()["stuck"] == 0, "somebody still waits in time"
            scorer.go.set()
            await until(lambda: len(peer.got()) == 2)
            assert peer.got()[2] == (200, b"b")
            assert peer.health()["served"] == 1

        on_a_loop(scorer, scene)
        return scorer.calls == [[b"late", b"b"]]

    assert began_before_it_was_late(late_in_a_batch)


def test_a_batch_in_which_all_are_overdue_is_interrupted_and_another_thread_takes_the_next() -> None:
    def all_overdue(deadline_ms: int) -> bool:
        scorer = Scorer(is_native=False)

        async def scene(worker: Worker) -> None:
            peer = Peer(worker)
            scorer.go.clear()
            peer.read(request(1, b"a", deadline_ms=deadline_ms), request(2, b"b", deadline_ms=deadline_ms + 10))
            await until(lambda: len(peer.got()) == 2)
            assert {status for status, _ in peer.got().values()} == {504}
            if scorer.calls:
                await until(lambda: [b"cancelled"] in scorer.calls)
            scorer.go.set()
            peer.read(request(3, b"c"))
            await until(lambda: 3 in peer.got())
            await until(lambda: peer.health()["executing"] == 0)

        on_a_loop(scorer, scene)
        return [b"cancelled"] in scorer.calls

    assert began_before_it_was_late(all_overdue)


def test_requests_of_a_client_that_has_left_are_not_executed() -> None:
    scorer = Scorer(is_native=False)

    async def scene(worker: Worker) -> None:
        leaving, staying = Peer(worker), Peer(worker)
        scorer.go.clear()
        staying.read(request(1, b"first"))
        await until(scorer.begun.is_set)
        leaving.read(request(1, b"gone"))
        staying.read(request(2, b"second"))
        leaving.leave()
        scorer.go.set()
        await until(lambda: len(staying.got()) == 2)
        assert scorer.calls == [[b"first"], [b"second"]]
        assert leaving.got() == {}
        assert staying.health()["queued"] == 0

    on_a_loop(scorer, scene)


def test_unusual_and_large_requests_are_answered_in_threads_beside_the_batches() -> None:
    scorer = Scorer()

    async def scene(worker: Worker) -> None:
        await prove_quick(worker, scorer)
        peer = Peer(worker)
        large = b"x" * 100_000
        peer.read(request(1, b"!odd"), request(2, b"a"), request(3, large))
        assert peer.got() == {2: (200, b"a")}
        await until(lambda: len(peer.got()) == 3)
        assert peer.got() == {1: (200, b"!odd"), 2: (200, b"a"), 3: (200, large)}
        assert scorer.alone == [b"!odd"]

    on_a_loop(scorer, scene)


def test_a_fault_while_a_request_is_accepted_is_its_own() -> None:
    scorer = Scorer()

    async def scene(worker: Worker) -> None:
        await prove_quick(worker, scorer)
        peer = Peer(worker)
        peer.read(request(1, b"a"), request(2, b"raises"), request(3, b"c"))
        assert {number: status for number, (status, _) in peer.got().items()} == {1: 200, 2: 500, 3: 200}
        assert peer.connection.jobs == {}
        told = peer.health()
        assert (told["executing"], told["queued"]) == (0, 0)

    on_a_loop(scorer, scene)


def test_a_fault_while_a_batch_executes_is_told_to_all_of_it() -> None:
    scorer = Scorer(is_native=False)

    async def scene(worker: Worker) -> None:
        peer = Peer(worker)
        scorer.answer_unchecked = lambda batch: []  # type: ignore[method-assign]
        peer.read(request(1, b"a"), request(2, b"b"))
        await until(lambda: len(peer.got()) == 2)
        assert {status for status, _ in peer.got().values()} == {500}

    on_a_loop(scorer, scene)


def test_more_than_all_servers_may_send_is_refused() -> None:
    scorer = Scorer(is_native=False)

    async def scene(worker: Worker) -> None:
        peer = Peer(worker)
        scorer.go.clear()
        peer.read(*(request(number, b"a") for number in range(1, 2000)))
        refused = [number for number, (status, _) in peer.got().items() if status == 429]
        assert refused == list(range(1024 + 2 + 1, 2000))
        scorer.go.set()
        await until(lambda: len(peer.got()) == 1999)

    on_a_loop(scorer, scene)


def test_draining_waits_for_a_batch_and_for_what_has_gathered_behind_it() -> None:
    scorer = Scorer(is_native=False)

    async def scene(worker: Worker) -> None:
        peer = Peer(worker)
        scorer.go.clear()
        peer.read(request(1, b"a"))
        await until(scorer.begun.is_set)
        peer.read(request(2, b"b"), protocol.encode(protocol.DRAIN, 0), request(3, b"c"))
        worker._terminate()
        assert not worker._drained.done()
        scorer.go.set()
        await until(lambda: len(peer.got()) == 3)
        await until(worker._drained.done)

    on_a_loop(scorer, scene)


@pytest.mark.parametrize("size", [10, 200_000])
def test_large_answers_are_written_by_themselves_and_in_order(size: int) -> None:
    scorer = Scorer()

    async def scene(worker: Worker) -> None:
        await prove_quick(worker, scorer)
        peer = Peer(worker)
        scorer.answer_unchecked = lambda batch: [Answer(200, JSON, rows.body * size) for rows in batch]  # type: ignore[method-assign]
        peer.read(request(1, b"a"), request(2, b"b"))
        assert peer.got() == {1: (200, b"a" * size), 2: (200, b"b" * size)}
        assert len(peer.transport.writes) == (1 if size == 10 else 4)

    on_a_loop(scorer, scene)
