from __future__ import annotations

import json

from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_server import Answer, FakeServer

PATH = "/serving-endpoints/churn/invocations"
SSE = {"Content-Type": "text/event-stream; charset=utf-8"}


def test_query_sends_the_body_and_prints_the_answer(server: FakeServer, run: Run) -> None:
    server.answer(f"POST {PATH}", {"predictions": [1]})
    ran = run("serving-endpoints", "query", "churn", "--json", '{"inputs": [{"a": 1.5}]}')
    assert json.loads(ran.out) == {"predictions": [1]}
    assert server.asked[0].body == {"inputs": [{"a": 1.5}]}


def test_query_may_ask_one_served_model(server: FakeServer, run: Run) -> None:
    server.answer("POST /serving-endpoints/churn/served-models/churn-2/invocations", {"predictions": [2]})
    ran = run("serving-endpoints", "query", "--name", "churn", "--served-model", "churn-2", "--json", "{}")
    assert json.loads(ran.out) == {"predictions": [2]}


def test_a_stream_prints_each_events_data_on_a_line(server: FakeServer, run: Run) -> None:
    server.answer(
        f"POST {PATH}", Answer('data: {"a": 1}\n\n: ping\n\ndata: {"a":\ndata: 2}\n\ndata: [DONE]\n\n', headers=SSE)
    )
    ran = run("serving-endpoints", "query", "churn", "--json", '{"messages": []}', "--stream")
    assert ran.out == '{"a": 1}\n{"a":\n2}\n'
    assert server.asked[0].body == {"messages": [], "stream": True}


def test_a_chat_stream_as_text_prints_the_words(server: FakeServer, run: Run) -> None:
    chunks = [{"choices": [{"delta": {"content": word}}]} for word in ("Hel", "lo")] + [{"choices": []}]
    events = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
    server.answer(f"POST {PATH}", Answer(events + "data: [DONE]\n\n", headers=SSE))
    assert run("serving-endpoints", "query", "churn", "--json", "{}", "--stream", "-o", "text").out == "Hello\n"


def test_an_error_inside_a_stream_fails_the_command(server: FakeServer, run: Run) -> None:
    server.answer(
        f"POST {PATH}", Answer('data: {"a": 1}\n\ndata: {"error": {"message": "model died"}}\n\n', headers=SSE)
    )
    ran = run("serving-endpoints", "query", "churn", "--json", "{}", "--stream")
    assert (ran.code, ran.out, ran.err) == (1, '{"a": 1}\n', "Error: the stream broke off: model died\n")


def test_an_answer_that_did_not_stream_is_printed_whole(server: FakeServer, run: Run) -> None:
    server.answer(f"POST {PATH}", {"predictions": [1]})
    assert json.loads(run("serving-endpoints", "query", "churn", "--json", "{}", "--stream").out) == {
        "predictions": [1]
    }


def test_a_models_error_fails_the_command(server: FakeServer, run: Run) -> None:
    server.answer(f"POST {PATH}", Answer({"error_code": "BAD_REQUEST", "message": "Failed to enforce schema"}, 400))
    ran = run("serving-endpoints", "query", "churn", "--json", "{}")
    assert (ran.code, ran.err) == (1, "Error: Failed to enforce schema (BAD_REQUEST)\n")
