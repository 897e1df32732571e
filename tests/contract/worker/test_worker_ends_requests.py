"""Deadlines, clients that leave, crashes, draining: how requests and the worker itself end."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.contract.worker.conftest import Client, Worker, until

from headgate_worker import protocol

Start = Callable[..., Worker]


def waits(kind: str, folder: Path) -> dict[str, Any]:
    return {"dataframe_records": [{"kind": kind, "folder": str(folder)}]}


def of_kind(kind: str) -> dict[str, Any]:
    return {"dataframe_records": [{"kind": kind}]}


@pytest.fixture
def client(start: Start, request: pytest.FixtureRequest) -> Client:
    model, slots = getattr(request, "param", ("waits", 1))
    worker = start(model, slots=slots)
    worker.in_state("READY")
    return worker.client()


def get_stuck(client: Client, folder: Path) -> None:
    """A thread that does not come back, past its deadline. A request whose deadline passed before it began was none."""
    while client.health()["stuck"] == 0:
        assert client.call(waits("forever", folder), deadline_ms=300).status == 504


def test_a_request_past_its_deadline_is_answered_504_and_interrupted(client: Client, tmp_path: Path) -> None:
    def interrupted() -> bool:
        """Not when the deadline passed before the model began."""
        answer = client.call(waits("loop", tmp_path), deadline_ms=300)
        assert (answer.status, answer.json["error_code"]) == (504, "DEADLINE_EXCEEDED")
        assert answer.json["message"].startswith("Request processing time exceeded limit")
        return (tmp_path / "interrupted").exists()

    until(interrupted, "the model is interrupted")
    assert client.call(waits("quick", tmp_path)).json == {"predictions": ["quick"]}
    until(lambda: client.health()["stuck"] == 0, "nobody is stuck")


def test_a_thread_that_does_not_come_back_is_reported_as_stuck(client: Client, tmp_path: Path) -> None:
    get_stuck(client, tmp_path)
    health = client.health()
    assert (health["executing"], health["stuck"], health["queued"]) == (1, 1, 0)
    # Its slot is taken: what comes now waits, and is answered in time all the same.
    assert client.call(waits("quick", tmp_path), deadline_ms=200).status == 504


@pytest.mark.parametrize("client", [("waits", 2)], indirect=True)
def test_a_stuck_thread_leaves_the_other_slots_alone(client: Client, tmp_path: Path) -> None:
    get_stuck(client, tmp_path)
    for _ in range(20):
        assert client.call(waits("quick", tmp_path)).status == 200
    assert client.health()["stuck"] == 1


def test_a_cancelled_request_is_interrupted_and_a_queued_one_never_starts(client: Client, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    running, queued = client.ask(waits("loop", first)), client.ask(waits("loop", second))
    until((first / "begun").exists, "the first one executes")
    client.cancel(queued)
    client.cancel(running)
    assert client.call(waits("quick", tmp_path)).status == 200
    assert (first / "interrupted").read_text() == "Cancelled"
    assert not (second / "begun").exists()
    health = client.health()
    assert [health[name] for name in ("executing", "queued", "stuck", "served")] == [0, 0, 0, 1]


def test_a_client_that_leaves_cancels_its_work(start: Start, tmp_path: Path) -> None:
    worker = start("waits", slots=1)
    worker.in_state("READY")
    leaving, staying = worker.client(), worker.client()
    leaving.ask(waits("loop", tmp_path))
    until((tmp_path / "begun").exists, "it executes")
    leaving.close()
    assert staying.call(waits("quick", tmp_path)).status == 200
    assert (tmp_path / "interrupted").exists()


def test_cancelling_at_any_moment_never_hits_another_request(client: Client, tmp_path: Path) -> None:
    for _ in range(400):
        doomed, wanted = client.ask(waits("quick", tmp_path)), client.ask(waits("quick", tmp_path))
        client.cancel(doomed)
        assert client.reply(wanted).status == 200


@pytest.mark.parametrize("client", [("raises", 1)], indirect=True)
@pytest.mark.parametrize(
    ("kind", "status", "code", "trace"),
    [
        ("value error", 400, "BAD_REQUEST", "ValueError: no such thing"),
        ("mlflow 404", 404, "RESOURCE_DOES_NOT_EXIST", None),
        ("mlflow 500", 500, "INTERNAL_ERROR", None),
        ("system exit", 400, "BAD_REQUEST", "SystemExit: 3"),
        ("keyboard interrupt", 400, "BAD_REQUEST", "KeyboardInterrupt"),
        ("memory", 400, "BAD_REQUEST", "MemoryError: too large"),
        ("not json", 400, "BAD_REQUEST", None),
    ],
)
def test_what_a_model_raises_fails_its_request_only(
    client: Client, kind: str, status: int, code: str, trace: str
) -> None:
    answer = client.call(of_kind(kind))
    assert (answer.status, answer.json["error_code"]) == (status, code)
    assert (trace in answer.json["stack_trace"]) if trace else ("stack_trace" not in answer.json)
    assert client.call(of_kind("fine")).json == {"predictions": [1]}


@pytest.mark.parametrize(("kind", "code"), [("exit", 7), ("segfault", -signal.SIGSEGV)])
def test_a_crash_ends_its_process_and_leaves_its_last_words(start: Start, kind: str, code: int) -> None:
    worker = start("crashes")
    worker.in_state("READY")
    with pytest.raises((EOFError, ConnectionError)):
        worker.client().call(of_kind(kind))
    assert worker.wait() == code
    if kind == "segfault":
        assert "Fatal Python error: Segmentation fault" in worker.log()


def test_draining_finishes_what_runs_and_waits_for_servers_to_leave(start: Start, tmp_path: Path) -> None:
    worker = start("waits", slots=1)
    worker.in_state("READY")
    agent, server = worker.client("agent"), worker.client()
    running, queued = server.ask(waits("until", tmp_path)), server.ask(waits("quick", tmp_path))
    until((tmp_path / "begun").exists, "it executes")
    agent.send(protocol.encode(protocol.DRAIN, 0))
    worker.in_state("DRAINING")
    with pytest.raises(OSError):
        worker.client()
    (tmp_path / "go").touch()
    assert (server.reply(running).status, server.reply(queued).status) == (200, 200)
    # A server with an old table may still ask until it leaves.
    assert server.call(waits("quick", tmp_path)).status == 200
    server.close()
    assert worker.wait() == 0


def test_sigterm_drains_and_a_second_one_does_not_wait_for_servers(start: Start, tmp_path: Path) -> None:
    worker = start("waits", slots=1)
    worker.in_state("READY")
    server = worker.client()
    running = server.ask(waits("until", tmp_path))
    until((tmp_path / "begun").exists, "it executes")
    os.kill(worker.pid, signal.SIGTERM)
    worker.in_state("DRAINING")
    os.kill(worker.pid, signal.SIGTERM)
    (tmp_path / "go").touch()
    assert server.reply(running).status == 200
    assert worker.wait() == 0


def test_a_worker_that_nobody_uses_drains_at_once(start: Start) -> None:
    worker = start("waits")
    worker.in_state("READY")
    worker.client("agent").send(protocol.encode(protocol.DRAIN, 0))
    assert worker.wait() == 0
    assert worker.status()["state"] == "DRAINING"
