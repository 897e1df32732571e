"""What a model is given of a request by a language model's route, and how its answer reads there."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from headgate_worker.conversing import CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES, Conversation, Unfit

HELLO = [{"role": "user", "content": "Hello?"}]
CHAT_INPUTS = ("messages", "temperature", "max_tokens", "stop", "stream", "custom_inputs")


def talk(task: str = "", inputs: tuple[str, ...] | None = None, params: tuple[str, ...] = ()) -> Conversation:
    def columns(names: tuple[str, ...]) -> list[Any]:
        return [SimpleNamespace(name=name) for name in names]

    schema = None if inputs is None else SimpleNamespace(inputs=columns(inputs))
    return Conversation(
        SimpleNamespace(
            get_input_schema=lambda: schema,
            get_params_schema=lambda: SimpleNamespace(params=columns(params)),
            metadata={"task": task} if task else None,
        )
    )


def test_a_chat_model_gets_what_its_signature_has() -> None:
    body = {"model": "e", "messages": HELLO, "temperature": 1, "seed": 3, "stream": True, "stop": "x", "user": None}
    asked = talk("agent/v1/chat", CHAT_INPUTS).asked(CHAT, {**body, "stream_options": {}, "max_completion_tokens": 7})
    assert asked == {"messages": HELLO, "temperature": 1, "stream": True, "stop": ["x"], "max_tokens": 7}


def test_a_model_without_a_signature_gets_everything_but_the_endpoints_name() -> None:
    asked = talk().asked(CHAT, {"model": "e", "messages": HELLO, "seed": 3, "max_completion_tokens": 7, "stop": "x"})
    assert asked == {"messages": HELLO, "seed": 3, "max_completion_tokens": 7, "stop": "x"}


def test_params_of_a_signature_are_inputs_too() -> None:
    asked = talk(inputs=("prompt",), params=("temperature",)).asked(
        COMPLETIONS, {"prompt": "x", "temperature": 1, "n": 2}
    )
    assert asked == {"prompt": "x", "temperature": 1}


def test_texts_in_parts_are_joined_and_pictures_are_left_to_the_model() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    seen = [{"type": "image_url", "image_url": {"url": "x"}}]
    messages = [{"role": "user", "content": parts}, {"role": "user", "content": seen}, "odd"]
    asked = talk("llm/v1/chat").asked(CHAT, {"messages": messages})["messages"]
    assert [message["content"] for message in asked[:2]] == ["a\nb", seen]
    assert talk("llm/v1/chat").asked(CHAT, {"messages": "odd"})["messages"] == "odd"
    assert talk().asked(CHAT, {"messages": messages})["messages"] == messages


def test_an_agent_gets_a_text_as_a_message() -> None:
    assert talk("agent/v1/responses").asked(RESPONSES, {"input": "Hello?"}) == {"input": HELLO}
    assert talk().asked(RESPONSES, {"input": "Hello?"}) == {"input": "Hello?"}


@pytest.mark.parametrize(
    ("conversation", "api", "body", "says"),
    [
        (talk("agent/v1/responses"), CHAT, {"messages": HELLO}, "POST /serving-endpoints/responses with 'input'"),
        (talk("agent/v2/chat"), RESPONSES, {"input": "x"}, "POST /serving-endpoints/chat/completions with 'messages'"),
        (talk("llm/v1/embeddings"), CHAT, {"messages": HELLO}, "POST /serving-endpoints/embeddings"),
        (talk(inputs=("age", "visits")), CHAT, {"messages": HELLO}, "it takes age, visits, not 'messages'"),
        (talk(inputs=()), EMBEDDINGS, {"input": "x"}, "it takes one tensor, not 'input'"),
        (talk(), CHAT, {"prompt": "x"}, "The request has no 'messages'"),
        (talk(), "a/new/route", {}, "Deploy the endpoint again"),
    ],
)
def test_what_a_model_does_not_do_is_refused_with_where_to_go(
    conversation: Conversation, api: str, body: dict[str, Any], says: str
) -> None:
    with pytest.raises(Unfit) as refused:
        conversation.asked(api, body)
    assert says in str(refused.value)


def test_a_completion_gets_what_clients_need_and_keeps_what_it_has() -> None:
    said = {"id": "mine", "choices": [{"index": 0, "message": HELLO[0]}], "custom_outputs": {"a": 1}}
    made = talk().answered(CHAT, said, {})
    assert said.items() <= made.items() and made["object"] == "chat.completion" and made["created"]


def test_an_agents_messages_stand_beside_the_completion_made_of_the_last() -> None:
    messages = [{"role": "tool", "content": "21"}, {"role": "assistant", "content": "Warm.", "id": "1"}]
    made = talk().answered(CHAT, {"messages": messages, "usage": {"total_tokens": 3}}, {})
    assert (made["messages"], made["usage"]) == (messages, {"total_tokens": 3})
    assert made["choices"] == [{"index": 0, "message": messages[1], "finish_reason": "stop"}]
    called = {"role": "assistant", "content": None, "tool_calls": [{"id": "c"}]}
    assert talk().answered(CHAT, {"messages": [called]}, {})["choices"][0]["finish_reason"] == "tool_calls"


class Answer:
    def model_dump(self) -> dict[str, Any]:
        return {"output": []}


@pytest.mark.parametrize(
    ("api", "raw", "part"),
    [
        (CHAT, "Hi.", {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}]}),
        (CHAT, ["Hi."], {"object": "chat.completion"}),
        (COMPLETIONS, ["Hi."], {"object": "text_completion"}),
        (COMPLETIONS, {"choices": []}, {"choices": []}),
        (EMBEDDINGS, [[0.5], [1.0]], {"data": [{"object": "embedding", "index": 0, "embedding": [0.5]}, {"object": "embedding", "index": 1, "embedding": [1.0]}]}),
        (EMBEDDINGS, [0.5, 1.0], {"data": [{"object": "embedding", "index": 0, "embedding": [0.5, 1.0]}]}),
        (EMBEDDINGS, {"data": [1]}, {"object": "list", "data": [1]}),
        (RESPONSES, Answer(), {"object": "response", "status": "completed", "output": []}),
    ],
)  # fmt: skip
def test_other_shapes_that_mean_an_answer_become_one(api: str, raw: Any, part: dict[str, Any]) -> None:
    assert part.items() <= talk().answered(api, raw, {}).items()


@pytest.mark.parametrize(
    ("api", "raw"),
    [(CHAT, [1.0]), (CHAT, {"predictions": 1}), (COMPLETIONS, 5), (EMBEDDINGS, "x"), (RESPONSES, {"choices": []}), (RESPONSES, None)],
)  # fmt: skip
def test_what_is_no_answer_is_refused(api: str, raw: Any) -> None:
    with pytest.raises(Unfit, match="which is no answer to POST"):
        talk().answered(api, raw, {})


def test_vectors_are_packed_for_who_asks_for_base64() -> None:
    raw = {"data": [{"index": 0, "embedding": [0.5, -2]}, {"index": 1, "embedding": "mine"}, "odd", {}]}
    made = talk().answered(EMBEDDINGS, raw, {"encoding_format": "base64"})["data"]
    assert struct.unpack("<2f", base64.b64decode(made[0]["embedding"])) == (0.5, -2.0)
    assert made[1:] == raw["data"][1:]
    assert talk().answered(EMBEDDINGS, raw, {"encoding_format": "float"})["data"] == raw["data"]


class Closing:
    """Pieces that know whether they were closed."""

    def __init__(self, *pieces: Any) -> None:
        self.closed = False
        self._pieces = iter(pieces)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self._pieces)

    def close(self) -> None:
        self.closed = True


def test_pieces_of_a_chat_become_chunks_and_the_last_says_that_it_is() -> None:
    came = Closing({"choices": [{"delta": {"content": "a"}}]}, {"delta": {"content": "b"}}, "c", {"usage": {}})
    chunks = list(talk().pieces(CHAT, came))
    assert len({chunk["id"] for chunk in chunks}) == 1 and {chunk["object"] for chunk in chunks} == {
        "chat.completion.chunk"
    }
    deltas = [choice["delta"].get("content") for chunk in chunks for choice in chunk.get("choices", ())]
    assert deltas == ["a", "b", "c", None] and chunks[1]["delta"] == {"content": "b"}
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop" and came.closed


def test_a_chat_that_said_it_was_over_gets_nothing_more() -> None:
    last = {"choices": [{"delta": {}, "finish_reason": "length"}]}
    assert len(list(talk().pieces(CHAT, Closing({"choices": [{"delta": {"content": "a"}}]}, last)))) == 2
    assert list(talk().pieces(CHAT, Closing())) == []


def test_pieces_that_are_no_chat_end_the_stream() -> None:
    with pytest.raises(Unfit, match="no part of a chat"):
        list(talk().pieces(CHAT, Closing(5)))


def test_an_agents_events_are_completed_with_its_items_once() -> None:
    item = {"type": "message", "id": "1"}
    events = [{"type": "response.output_text.delta", "delta": "a"}, {"type": "response.output_item.done", "item": item}]
    told = list(talk().pieces(RESPONSES, Closing(*events)))
    assert told[:2] == events
    assert (told[2]["type"], told[2]["response"]["output"]) == ("response.completed", [item])
    done = {"type": "response.completed", "response": {}}
    assert list(talk().pieces(RESPONSES, Closing(*events, done))) == [*events, done]


def test_a_stream_that_is_closed_closes_the_models() -> None:
    for api in (CHAT, RESPONSES):
        came = Closing({"choices": []}, {"choices": []})
        pieces: Any = talk().pieces(api, came)
        next(pieces)
        pieces.close()
        assert came.closed
