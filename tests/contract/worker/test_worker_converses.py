"""MLflow's own chat models and agents in a real worker, asked by the routes of language models."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.contract.worker.conftest import Answered, Client, Worker
from tests.contract.worker.test_worker_streams import events

from headgate_worker.conversing import CHAT, RESPONSES

Start = Callable[..., Worker]
HELLO = [{"role": "user", "content": [{"type": "text", "text": "Hello?"}]}]


def client(start: Start, model: str) -> Client:
    worker = start(model)
    worker.in_state("READY")
    return worker.client()


def asked(client: Client, api: str, **body: Any) -> Answered:
    return client.reply(client.ask({"model": "endpoint", **body}, api=api))


def refusal(answer: Answered) -> str:
    assert (answer.status, answer.json["error_code"], set(answer.json)) == (
        400,
        "BAD_REQUEST",
        {"error_code", "message"},
    )
    return str(answer.json["message"])


def test_a_chat_model_takes_what_openais_clients_send(start: Start) -> None:
    chat = client(start, "chat_model")
    more = {"temperature": 1, "seed": 7, "stop": "END", "max_completion_tokens": 5, "stream": False, "user": None}
    said = asked(chat, CHAT, messages=HELLO, **more).json
    assert (said["choices"][0]["message"]["content"], said["object"]) == ("Hello? at 1.0", "chat.completion")
    assert said["id"] and said["created"]
    assert "serves agent/v1/chat" in refusal(asked(chat, RESPONSES, input="Hello?"))
    assert "cannot stream" in asked(chat, CHAT, messages=HELLO, stream=True).json["message"]


def test_an_agent_answers_as_the_responses_api_whole_and_streamed(start: Start) -> None:
    agent = client(start, "responses_agent")
    said = asked(agent, RESPONSES, input="Hello?", custom_inputs={"a": 1}, temperature=1, unknown=1).json
    assert (said["object"], said["output"][0]["content"][0]["text"]) == ("response", "got {'a': 1}")
    told = events(agent.stream(agent.ask({"model": "endpoint", "input": "Hello?", "stream": True}, api=RESPONSES)))
    kinds = [event["type"] if isinstance(event, dict) else event for event in told]
    assert kinds == ["response.output_text.delta", "response.output_item.done", "response.completed", "[DONE]"]
    assert told[2]["response"]["output"] == [told[1]["item"]]
    assert "POST /serving-endpoints/responses with 'input'" in refusal(asked(agent, CHAT, messages=HELLO))


def test_a_model_of_rows_says_that_it_is_none_and_goes_on_serving_rows(start: Start) -> None:
    rows = client(start, "sklearn")
    records = {"dataframe_records": [{"a": 1.0, "b": 1.0}]}
    assert "it takes a, b, not 'messages'" in refusal(asked(rows, CHAT, messages=HELLO))
    assert "it takes a, b, not 'messages'" in refusal(asked(rows, CHAT, **records))
    assert json.loads(rows.call(records).body)["predictions"]


def test_pieces_of_another_shape_go_on_with_what_every_chunk_has(start: Start) -> None:

    streams = client(start, "streams")
    told = events(streams.stream(streams.ask({"messages": HELLO, "prompt": "x", "stream": True}, api=CHAT)))
    assert told[-1] == "[DONE]" and all(piece["object"] == "chat.completion.chunk" for piece in told[:-1])
