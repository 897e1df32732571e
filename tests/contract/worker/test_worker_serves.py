"""A worker asked over its socket: it starts, answers, reports, logs."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.contract.worker.conftest import Worker, until

from headgate_worker import protocol

Start = Callable[..., Worker]
ROW = {"dataframe_split": {"columns": ["a", "b"], "data": [[1.0, 1.0]]}}


def kind(name: str, **more: object) -> dict[str, object]:
    return {"dataframe_records": [{"kind": name, **more}]}


def test_a_fresh_process_with_an_example_is_warm_when_ready_and_answers(start: Start) -> None:
    worker = start("sklearn_with_example", exec=True)
    status = worker.in_state("READY")
    assert status["pid"] == worker.pid
    started = int(Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()[19])
    assert status["start_ticks"] == started
    assert (status["phase"], status["how"]) == ("serve", "exec")
    assert set(status["phases_ms"]) == {"import", "load", "first_predict", "prove"}
    assert "sklearn.linear_model" in status["modules"]
    assert not any(name.startswith(("headgate", "json")) for name in status["modules"])

    client = worker.client()
    hello = dict(client.hello)
    assert hello.pop("phases_ms") == status["phases_ms"]
    assert hello.pop("ready_ms") >= 0
    assert hello == {"version": 1, "replica": "r-1", "slots": 2, "window": 128}
    answer = client.call(ROW)
    assert (answer.status, answer.content_type) == (200, "application/json")
    assert answer.json == {"predictions": [pytest.approx(5.0)]}
    assert answer.meta["execute_us"] > 0
    health = client.health()
    counted = {"executing", "queued", "stuck", "served", "batches", "joined", "native", "mismatches", "rss_bytes"}
    assert set(health) == counted
    assert health["served"] == 1
    assert health["rss_bytes"] > 10_000_000


@pytest.mark.parametrize(
    ("how", "variables", "span"),
    [
        ("fork", {}, "NoOpSpan"),
        ("exec", {}, "NoOpSpan"),
        ("exec", {"ENABLE_MLFLOW_TRACING": "true"}, "LiveSpan"),
        ("exec", {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}, "LiveSpan"),
    ],
)
def test_a_model_is_traced_only_where_its_owner_wants_it(
    start: Start, how: str, variables: dict[str, str], span: str
) -> None:
    worker = start("traced", exec=how == "exec", environment_vars=variables)
    worker.in_state("READY")
    assert worker.client().call({"inputs": ["x"]}).json == {"predictions": [span]}


def test_a_forked_worker_without_example_reports_modules_after_its_first_answer(start: Start) -> None:
    worker = start("sklearn")
    status = worker.in_state("READY")
    assert (status["how"], status["modules"]) == ("fork", [])
    assert "first_predict" not in status["phases_ms"]
    assert worker.client().call(ROW).status == 200
    until(lambda: "sklearn.linear_model" in worker.status()["modules"], "its modules")
    assert worker.status()["state"] == "READY"


def test_answers_to_many_requests_in_flight_go_to_those_who_asked(start: Start) -> None:
    worker = start("sklearn", slots=4)
    worker.in_state("READY")
    clients = [worker.client() for _ in range(3)]
    asked = [
        (client, client.ask({"inputs": {"a": [float(number)], "b": [0.0]}}), number)
        for number in range(40)
        for client in clients
    ]
    for client, request, number in asked:
        assert client.reply(request).json["predictions"] == [pytest.approx(2.0 * number)]


def test_a_model_sees_the_endpoints_variables_and_nothing_of_the_servers(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_TOKEN", "secret")
    monkeypatch.setenv("HEADGATE_ADMIN_TOKEN", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    worker = start("waits", exec=True, environment_vars={"MINE": "1", "PATH": "/only/this"})
    worker.in_state("READY")
    environ = worker.client().call(kind("environ", folder="")).json["predictions"][0]
    assert {"MINE": "1", "PATH": "/only/this"}.items() <= environ.items()
    assert "secret" not in environ.values()


def test_output_in_every_form_becomes_lines_of_the_service_log(start: Start, short_folder: Path) -> None:
    worker = start("waits")
    worker.in_state("READY")
    agent = worker.client("agent")
    assert agent.health()["executing"] == 0
    assert worker.client().call(kind("say", folder="/")).status == 200
    log = worker.log()
    stamp = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z r-1 "
    for line in ("stdout said on stdout", "stderr said on stderr", "WARNING mine: said as a warning"):
        assert re.search(stamp + line + "$", log, re.M), log
    assert "said on descriptor 1\n" in log
    assert "not said" not in log
    pushed = agent.next(lambda frame: frame.kind == protocol.LOG)
    assert pushed.payload.decode() in log


def test_the_log_is_rotated_by_size_and_keeps_one_old_file(start: Start) -> None:
    worker = start("waits", log_bytes=4096)
    worker.in_state("READY")
    client = worker.client()
    for _ in range(60):
        assert client.call(kind("say", folder="/")).status == 200
    path = Path(worker.spec["log_path"])
    assert {each.name for each in path.parent.iterdir()} == {"r-1.log", "r-1.log.1"}
    assert all(each.stat().st_size < 3 * 4096 for each in path.parent.iterdir())
    assert "said on descriptor 1" in worker.log()


def test_each_change_of_status_is_hinted(start: Start, short_folder: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hints:
        hints.settimeout(30)
        hints.bind(str(short_folder / "notify.sock"))
        worker = start("sklearn", notify_socket=str(short_folder / "notify.sock"))
        worker.in_state("READY")
        assert hints.recv(100) == b"r-1"


def test_frames_that_are_wrong_do_not_hurt_other_requests(start: Start) -> None:
    worker = start("sklearn")
    worker.in_state("READY")
    client = worker.client()
    client.send(protocol.encode(protocol.REQUEST, 77, b"\xff\xff\xff\xff{}"))
    refused = client.reply(77)
    assert (refused.status, refused.json["error_code"]) == (400, "BAD_REQUEST")
    client.send(protocol.encode_with_meta(protocol.REQUEST, 78, b"[]", b"{}"))
    assert client.reply(78).status == 400
    client.cancel(4711)
    assert client.call(ROW).status == 200

    broken = worker.client()
    broken.send(b"\xff" * 100)
    with pytest.raises((EOFError, ConnectionError)):
        broken.health()
    assert client.call(ROW).status == 200


def test_a_client_of_another_version_is_told_and_refused(start: Start) -> None:
    worker = start("sklearn")
    worker.in_state("READY")
    client = worker.client()
    client.send(protocol.encode_json(protocol.HELLO, 0, {"version": 99, "role": "server"}))
    assert json.loads(client.next(lambda frame: frame.kind == protocol.HELLO).payload)["version"] == 1
    with pytest.raises((EOFError, ConnectionError)):
        client.health()


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("absent_module", ["'a_module_that_is_absent'", "pip requirements"]),
        ("raises_at_load", ["RuntimeError: the weights are torn", "in load_context"]),
        ("no_such_folder", ["could not be loaded"]),
    ],
)
def test_a_model_that_does_not_load_says_why_and_what_to_do(start: Start, model: str, said: list[str]) -> None:
    worker = start(model)
    assert worker.wait() == 1
    status = worker.status()
    assert (status["state"], status["phase"]) == ("FAILED", "load")
    for part in ["main.default.m version 1", *said]:
        assert part in status["message"]
    assert status["message"].splitlines()[0] in worker.log()


def test_a_lifeline_that_ends_ends_the_worker_while_it_predicts(start: Start, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    worker = start("waits", exec=True, lifeline_fd=reading, pass_fds=(reading,))
    os.close(reading)
    worker.in_state("READY")
    worker.client().ask(kind("loop", folder=str(tmp_path)))
    until((tmp_path / "begun").exists, "it predicts")
    os.close(writing)
    assert worker.wait() == 0
