"""Streamed answers: events, errors before and after the first one, clients that leave or do not read."""

from __future__ import annotations

import json
import select
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.contract.worker.conftest import Client, Worker, until

from headgate_worker import protocol

Start = Callable[..., Worker]


def asks(told: str) -> dict[str, Any]:
    return {"prompt": told, "stream": True}


@pytest.fixture
def worker(start: Start) -> Worker:
    worker = start("streams", slots=1)
    worker.in_state("READY")
    return worker


@pytest.fixture
def client(worker: Worker) -> Client:
    return worker.client()


def events(chunks: list[bytes]) -> list[Any]:
    assert all(chunk.startswith(b"data: ") and chunk.endswith(b"\n\n") for chunk in chunks)
    texts = [chunk[6:-2] for chunk in chunks]
    return [text.decode() if text == b"[DONE]" else json.loads(text) for text in texts]


def test_each_piece_is_an_event_and_done_is_the_last(client: Client) -> None:
    told = events(client.stream(client.ask(asks("hello"))))
    assert told == [{"piece": number, "of": "'hello'"} for number in range(3)] + ["[DONE]"]


def test_the_same_model_answers_whole_when_no_stream_is_asked_for(client: Client) -> None:
    answer = client.call({"prompt": "hello"})
    assert answer.json["got"] == "{'prompt': 'hello'}"
    assert client.call({"prompt": "hello", "stream": False}).status == 200


def test_the_stream_begins_with_its_meta(client: Client) -> None:
    number = client.ask(asks("hello"))
    first = client.next(lambda frame: frame.request_id == number)
    assert first.kind == protocol.STREAM
    meta = json.loads(first.payload)
    assert (meta["status"], meta["content_type"]) == (200, "text/event-stream")
    assert set(meta) == {"status", "content_type", "queue_us", "execute_us"}


def test_a_failure_before_the_first_piece_is_an_ordinary_answer(client: Client) -> None:
    answer = client.call(asks("fail at once"))
    assert (answer.status, answer.json["error_code"]) == (400, "BAD_REQUEST")
    assert "ValueError: at once" in answer.json["stack_trace"]


def test_a_failure_in_the_middle_is_the_last_event(client: Client) -> None:
    told = events(client.stream(client.ask(asks("fail later"))))
    assert told == [{"piece": 0}, {"error": {"message": "ValueError: later"}}]


def test_a_model_that_cannot_stream_says_so(start: Start) -> None:
    worker = start("echo")
    worker.in_state("READY")
    for body in (asks("hello"), {"inputs": [1], "stream": True}):
        answer = worker.client().call(body)
        assert (answer.status, answer.json["error_code"]) == (400, "BAD_REQUEST")
        assert "predict_stream" in answer.json["message"]


def test_cancelling_closes_the_models_generator_and_frees_its_slot(worker: Worker, client: Client) -> None:
    number = client.ask(asks("endless"))
    client.next(lambda frame: frame.request_id == number and frame.kind == protocol.CHUNK)
    client.cancel(number)
    assert client.call({"prompt": "next"}).status == 200
    assert "stdout stream closed" in worker.log()


def test_a_stream_that_waits_is_interrupted_when_its_client_leaves(
    worker: Worker, client: Client, tmp_path: Path
) -> None:
    number = client.ask(asks(f"held:{tmp_path}"))
    client.next(lambda frame: frame.request_id == number and frame.kind == protocol.CHUNK)
    client.close()
    assert worker.client().call({"prompt": "next"}).status == 200
    assert "stdout stream closed" in worker.log()


def test_a_stream_past_its_deadline_ends_with_an_error_event(client: Client, tmp_path: Path) -> None:
    told = events(client.stream(client.ask(asks(f"held:{tmp_path}"), deadline_ms=2000)))
    assert told[0] == {"piece": 0}
    assert told[1]["error"]["message"].startswith("Request processing time exceeded limit")
    assert len(told) == 2


def test_a_client_that_does_not_read_is_not_buffered_for(worker: Worker, client: Client) -> None:
    watching = worker.client()
    before = watching.health()["rss_bytes"]
    client.ask(asks("endless"), deadline_ms=1500)
    until(lambda: select.select([client.socket], [], [], 0)[0], "it streams")
    until(lambda: watching.health()["executing"] == 0, "its deadline ends it")
    assert watching.health()["rss_bytes"] - before < 30_000_000
    assert watching.call({"prompt": "next"}).status == 200


def test_an_agent_answers_whole_and_as_a_stream_and_does_not_see_what_is_for_the_platform(start: Start) -> None:
    worker = start("responses_agent")
    worker.in_state("READY")
    client = worker.client()
    asked = {"input": [{"role": "user", "content": "hi"}], "custom_inputs": {"a": 1}}
    platform = {"databricks_options": {"return_trace": True}, "client_request_id": "c"}
    answer = client.call({**asked, **platform})
    assert (answer.status, answer.json["output"][0]["content"][0]["text"]) == (200, "got {'a': 1}"), answer.body
    told = events(client.stream(client.ask({**asked, **platform, "stream": True})))
    assert [event if event == "[DONE]" else event["type"] for event in told] == [
        "response.output_text.delta",
        "response.output_item.done",
        "[DONE]",
    ]


def test_a_chat_model_without_a_stream_of_its_own_says_so(start: Start) -> None:
    worker = start("chat_model")
    worker.in_state("READY")
    asked = {"messages": [{"role": "user", "content": "hi"}], "temperature": 0.3}
    answer = worker.client().call(asked)
    assert answer.json["choices"][0]["message"]["content"] == "hi at 0.3"
    refused = worker.client().call({**asked, "stream": True})
    assert (refused.status, "predict_stream" in refused.json["message"]) == (400, True)
