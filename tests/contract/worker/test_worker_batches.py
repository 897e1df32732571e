"""Requests that are answered together, over real sockets with real models: each gets its own answer, once, whatever the others do."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.contract.worker.conftest import Client, Worker, until

from headgate_worker import protocol

Start = Callable[..., Worker]
JOINED = {"HEADGATE_BATCHING": "on"}


def waits(kind: str, folder: Path) -> dict[str, Any]:
    return {"dataframe_records": [{"kind": kind, "folder": str(folder)}]}


def numbers(rng: random.Random) -> tuple[dict[str, Any], list[float]]:
    """One to three rows in one of the usual forms, and what the model says: 2a + 3b."""
    rows = [[rng.uniform(-5, 5), rng.uniform(-5, 5)] for _ in range(rng.randint(1, 3))]
    body: dict[str, Any] = rng.choice(
        [
            {"dataframe_split": {"columns": ["a", "b"], "data": rows}},
            {"dataframe_split": {"columns": ["b", "a"], "data": [[b, a] for a, b in rows]}},
            {"dataframe_records": [{"a": a, "b": b} for a, b in rows]},
            {"inputs": {"a": [a for a, _ in rows], "b": [b for _, b in rows]}},
        ]
    )
    return body, [2 * a + 3 * b for a, b in rows]


def send_together(client: Client, bodies: list[Any], first: int = 1000) -> list[int]:
    """All in one write; their ids."""
    meta = b'{"content_type":"application/json","request_id":"r","deadline_ms":60000}'
    ids = list(range(first, first + len(bodies)))
    client.send(
        b"".join(
            protocol.encode_with_meta(protocol.REQUEST, number, meta, json.dumps(body).encode())
            for number, body in zip(ids, bodies, strict=True)
        )
    )
    return ids


@pytest.mark.parametrize("native", ["auto", "off"])
def test_600_concurrent_requests_of_different_rows_over_two_connections_are_all_answered_right(
    start: Start, native: str
) -> None:
    worker = start("sklearn_with_example", environment_vars={"HEADGATE_NATIVE_PREDICT": native, **JOINED})
    worker.in_state("READY")
    clients, rng = [worker.client(), worker.client()], random.Random(1)
    asked: list[tuple[Client, int, list[float]]] = []
    for turn in range(6):
        for client in clients:
            bodies = [numbers(rng) for _ in range(50)]
            ids = send_together(client, [body for body, _ in bodies], 1000 * (turn + 1))
            asked += [(client, number, expected) for number, (_, expected) in zip(ids, bodies, strict=True)]
    for client, number, expected in asked:
        answer = client.reply(number)
        assert (answer.status, answer.json["predictions"]) == (200, pytest.approx(expected)), number
    health = clients[0].health()
    assert (health["served"], health["executing"], health["queued"]) == (600, 0, 0)
    assert (health["native"], health["mismatches"]) == (native == "auto", 0)
    assert health["joined"] > 300


def test_one_bad_row_among_31_good_ones_fails_its_own_request_only(start: Start, tmp_path: Path) -> None:
    worker = start("each", environment_vars=JOINED)
    worker.in_state("READY")
    client = worker.client()
    held = client.ask(waits("hold", tmp_path))
    until((tmp_path / "begun").exists, "the model is busy")
    kinds = [f"row{number}" for number in range(32)]
    kinds[17] = "bad"
    ids = send_together(client, [waits(kind, tmp_path) for kind in kinds])
    (tmp_path / "go").touch()
    assert client.reply(held).status == 200
    for kind, number in zip(kinds, ids, strict=True):
        answer = client.reply(number)
        if kind == "bad":
            assert (answer.status, answer.json["error_code"]) == (400, "BAD_REQUEST")
            assert "ValueError: a bad row" in answer.json["stack_trace"]
        else:
            assert answer.json == {"predictions": [kind.upper()]}
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[:2] == ["hold", " ".join(kinds)]
    assert sorted(calls[2:]) == sorted(kinds)


def test_requests_whose_client_was_killed_are_not_executed_and_the_others_are_answered(
    start: Start, tmp_path: Path
) -> None:
    worker = start("each", environment_vars=JOINED)
    worker.in_state("READY")
    leaving, staying = worker.client(), worker.client()
    held = staying.ask(waits("hold", tmp_path))
    until((tmp_path / "begun").exists, "the model is busy")
    send_together(leaving, [waits(f"gone{number}", tmp_path) for number in range(20)])
    ids = send_together(staying, [waits(f"here{number}", tmp_path) for number in range(20)])
    until(lambda: staying.health()["queued"] == 40, "all wait")
    leaving.close()
    until(lambda: staying.health()["queued"] == 20, "the worker has noticed")
    (tmp_path / "go").touch()
    assert staying.reply(held).status == 200
    assert [staying.reply(number).json["predictions"] for number in ids] == [[f"HERE{number}"] for number in range(20)]
    assert "gone" not in (tmp_path / "calls").read_text()


def test_requests_without_a_fast_path_are_answered_beside_a_batch(start: Start, tmp_path: Path) -> None:
    worker = start("each", environment_vars=JOINED, slots=2)
    worker.in_state("READY")
    client = worker.client()
    held = client.ask(waits("hold", tmp_path))
    until((tmp_path / "begun").exists, "the model is busy")
    answer = client.call(f"kind,folder\nodd,{tmp_path}\n".encode(), "text/csv")
    assert answer.json == {"predictions": ["ODD"]}
    (tmp_path / "go").touch()
    assert client.reply(held).json == {"predictions": ["HOLD"]}


def test_switched_off_each_request_is_predicted_alone_by_as_many_threads_as_there_are_slots(
    start: Start, tmp_path: Path
) -> None:
    worker = start("each", environment_vars={"HEADGATE_BATCHING": "off"}, slots=2)
    worker.in_state("READY")
    client = worker.client()
    assert client.hello["window"] == 2
    held = client.ask(waits("hold", tmp_path))
    until((tmp_path / "begun").exists, "the model is busy")
    ids = send_together(client, [waits(f"row{number}", tmp_path) for number in range(10)])
    assert [client.reply(number).status for number in ids] == [200] * 10
    (tmp_path / "go").touch()
    assert client.reply(held).status == 200
    assert all(len(line.split()) == 1 for line in (tmp_path / "calls").read_text().splitlines())
    assert client.health()["batches"] == 0


def test_draining_under_load_answers_everything_and_ends(start: Start) -> None:
    worker = start("sklearn_with_example")
    worker.in_state("READY")
    agent, servers, rng = worker.client("agent"), [worker.client(), worker.client()], random.Random(2)
    bodies = [[numbers(rng) for _ in range(100)] for _ in servers]
    ids = [send_together(server, [body for body, _ in mine]) for server, mine in zip(servers, bodies, strict=True)]
    agent.send(protocol.encode(protocol.DRAIN, 0))
    worker.in_state("DRAINING")
    # Servers with an old table may still ask until they leave.
    late = [server.ask(numbers(rng)[0]) for server in servers]
    for server, mine, numbered, last in zip(servers, bodies, ids, late, strict=True):
        for (_, expected), number in zip(mine, numbered, strict=True):
            assert server.reply(number).json["predictions"] == pytest.approx(expected)
        assert server.reply(last).status == 200
        server.close()
    assert worker.wait() == 0


def test_a_frame_of_ten_megabytes_is_answered(start: Start) -> None:
    worker = start("sklearn_with_example")
    worker.in_state("READY")
    client = worker.client()
    rows = [[float(number), 1.0] for number in range(700_000)]
    body = json.dumps({"dataframe_split": {"columns": ["a", "b"], "data": rows}}).encode()
    assert len(body) > 8_000_000
    answer = client.call(body)
    assert answer.status == 200
    assert answer.json["predictions"][-1] == pytest.approx(2 * 699_999.0 + 3)
