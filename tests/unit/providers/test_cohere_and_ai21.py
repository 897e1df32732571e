"""What is Cohere's and AI21's own: plans, citations, one tool by name, arguments that are not said; what they have retired."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from tests.contract.providers import reading
from tests.contract.providers.cases import HELLO, WEATHER

from headgate.errors import InvalidParameterValue
from headgate.providers import catalogue
from headgate.providers.ai21 import AI21
from headgate.providers.cohere.vendor import Cohere
from headgate.providers.port import CHAT, COMPLETIONS, EMBEDDINGS, BadAnswer, Outgoing, Request, Target

COHERE = {"cohere_api_key": "sk-secret"}
JAMBA = Target("ai21labs", "jamba-large", CHAT, {"ai21labs_api_key": "sk-secret"})
cohere, ai21 = Cohere(lambda: 1.0), AI21(lambda: 1.0)
OTHER = {"type": "function", "function": {"name": "other", "parameters": {"type": "object"}}}
CALL = {"id": "c", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}


def command(task: str = CHAT, **config: str) -> Target:
    return Target("cohere", "command-a", task, {**COHERE, **config})


def sent(body: dict[str, Any], target: Target | None = None) -> Outgoing:
    return cohere.prepare(target or command(), Request({"messages": [HELLO], **body}), None, 1.0)


def asked(body: dict[str, Any]) -> dict[str, Any]:
    return dict(orjson.loads(sent(body).body))


@pytest.mark.parametrize(
    "base", ["https://c.example", "https://c.example/", "https://c.example/v1", "https://c.example/v2/"]
)
def test_a_base_is_understood_with_any_version(base: str):
    assert sent({}, command(cohere_api_base=base)).url == "https://c.example/v2/chat"


def test_one_tool_by_name_is_the_only_one_shown():
    choice = {"type": "function", "function": {"name": "other"}}
    body = asked({"tools": [WEATHER, OTHER], "tool_choice": choice})
    assert [tool["function"]["name"] for tool in body["tools"]] == ["other"] and body["tool_choice"] == "REQUIRED"
    with pytest.raises(InvalidParameterValue, match="'gone'"):
        sent({"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "gone"}}})
    assert asked({"tools": [WEATHER], "tool_choice": "none"})["tool_choice"] == "NONE"
    assert "tool_choice" not in asked({"tools": [WEATHER], "tool_choice": "auto", "parallel_tool_calls": True})


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"n": 2}, "n"),
        ({"parallel_tool_calls": False}, "parallel_tool_calls"),
        ({"logprobs": True, "top_logprobs": 2}, "top_logprobs"),
        ({"frequency_penalty": -1}, "from 0 to 1"),
        ({"user": "u"}, "user"),
        ({"reasoning_effort": "xhigh"}, "xhigh"),
        ({"thinking": {"type": "x"}}, "thinking"),
        ({"tools": [WEATHER], "response_format": {"type": "json_object"}}, "together with tools"),
        ({"tools": [{**WEATHER, "function": {**WEATHER["function"], "strict": True}}, OTHER]}, "strict"),  # type: ignore[dict-item]
        ({"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "text", "data": "d"}}]}]}, "document"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]}, "input_audio"),
        ({"extra_params": {"max_tokens": 9}}, "max_tokens"),
    ],
)  # fmt: skip
def test_what_cohere_cannot_do_is_refused_by_name(said: dict[str, Any], named: str):
    with pytest.raises(InvalidParameterValue, match=named):
        sent(said)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"reasoning_effort": "none"}, {"type": "disabled"}),
        ({"reasoning_effort": "low"}, {"type": "enabled", "token_budget": 1024}),
        ({"reasoning_effort": "high"}, {"type": "enabled"}),
        ({"thinking": {"type": "adaptive"}}, {"type": "enabled"}),
        ({"thinking": {"type": "disabled"}}, {"type": "disabled"}),
        ({}, None),
    ],
)
def test_how_much_cohere_thinks(said: dict[str, Any], expected: dict[str, Any] | None):
    assert asked(said).get("thinking") == expected


def test_two_messages_of_one_side_keep_their_border():
    body = asked({"messages": [HELLO, {"role": "user", "content": "Again?"}]})
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "Hello?"}, {"type": "text", "text": "Again?"}]}
    ]
    thought = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {"type": "text", "text": "Hi."},
    ]
    again = {"role": "user", "content": "?"}
    body = asked(
        {
            "messages": [
                HELLO,
                {"role": "assistant", "content": thought, "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "c", "content": ""},
                again,
            ]
        }
    )
    assert body["messages"][1]["content"] == [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Hi."}]
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "tool", "user"]


CITED = {"start": 0, "end": 4, "text": "Rain", "sources": [{"type": "tool", "id": "c:0"}]}


def test_citations_stand_beside_the_text():
    message = {"role": "assistant", "content": [{"type": "text", "text": "Rain."}], "citations": [CITED]}
    said = {
        "id": "i",
        "finish_reason": "COMPLETE",
        "message": message,
        "usage": {"billed_units": {"input_tokens": 3.0}},
    }
    answer = cohere.answer(command(), orjson.dumps(said))
    told = orjson.loads(answer.body)["choices"][0]["message"]
    assert (told["content"], told["citations"]) == ("Rain.", [CITED])
    assert answer.usage is not None and answer.usage.prompt_tokens == 3
    reader = cohere.stream(command(), False)
    events = reading.events(
        reader.feed(
            _event({"type": "message-start", "id": "i"})
            + _event({"type": "citation-start", "delta": {"message": {"citations": CITED}}})
        )
    )
    assert reading.payload(events[1])["choices"][0]["delta"] == {"citations": [CITED]}


def test_a_call_without_arguments_has_an_empty_object_of_them():
    reader = cohere.stream(command(), False)
    call = {"id": "c", "type": "function", "function": {"name": "now", "arguments": ""}}
    events = reading.events(
        reader.feed(
            _event({"type": "message-start", "id": "i"})
            + _event({"type": "tool-call-start", "delta": {"message": {"tool_calls": call}}})
            + _event({"type": "tool-call-end"})
            + _event({"type": "message-end", "delta": {"finish_reason": "TOOL_CALL"}})
        )
    )
    (said,) = reading.streamed(reading.payload(event) for event in events[:-1])
    assert [(call.name, call.arguments) for call in said.tool_calls] == [("now", "{}")] and reader.complete


@pytest.mark.parametrize(
    "last",
    [
        {"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "the model is gone"}},
        {"type": "message-end", "delta": {"finish_reason": "TIMEOUT"}},
        {"message": "the model is gone"},
    ],
)
def test_a_stream_that_cohere_gives_up_is_a_failure(last: dict[str, Any]):
    reader = cohere.stream(command(), False)
    events = reading.events([*reader.feed(_event({"type": "message-start", "id": "i"}) + _event(last)), *reader.end()])
    assert reader.failure is not None and reader.failure.retryable and not reader.complete
    assert reading.DONE not in events and reading.payload(events[-1])["error_code"]


def test_an_answer_that_cohere_gave_up_is_a_failure():
    with pytest.raises(BadAnswer, match="TIMEOUT"):
        cohere.answer(command(), b'{"id":"i","finish_reason":"TIMEOUT","message":{}}')


def test_what_was_retired_is_refused_with_advice():
    for vendor, target in ((cohere, command(COMPLETIONS)), (ai21, Target("ai21labs", "j2", COMPLETIONS, JAMBA.config))):
        with pytest.raises(InvalidParameterValue, match=r"retired.*llm/v1/chat"):
            vendor.prepare(target, Request({"prompt": "?"}), None, 1.0)
    with pytest.raises(InvalidParameterValue, match="another provider"):
        ai21.prepare(Target("ai21labs", "j", EMBEDDINGS, JAMBA.config), Request({"input": "?"}), None, 1.0)
    with pytest.raises(InvalidParameterValue, match="google-cloud-vertex-ai"):
        catalogue.provider("palm", {})


def test_cohere_embeds_at_most_so_many_texts_and_says_what_for():
    with pytest.raises(InvalidParameterValue, match="96"):
        sent({"input": ["a"] * 97}, command(EMBEDDINGS))
    body = orjson.loads(cohere.prepare(command(EMBEDDINGS), Request({"input": "a"}), None, 1.0).body)
    assert body == {"model": "command-a", "texts": ["a"], "input_type": "search_document", "embedding_types": ["float"]}
    coded = {"embeddings": {"base64": ["AAAA"]}, "meta": {"billed_units": {"input_tokens": 2}}}
    answer = cohere.answer(command(EMBEDDINGS), orjson.dumps(coded))
    assert orjson.loads(answer.body)["data"][0]["embedding"] == "AAAA"


def jamba(body: dict[str, Any], stream: bool = False) -> dict[str, Any]:
    return dict(orjson.loads(ai21.prepare(JAMBA, Request({"messages": [HELLO], **body}, stream), None, 1.0).body))


def test_jamba_gets_texts_and_no_tools_it_must_not_call():
    messages = [
        {"role": "developer", "content": [{"type": "text", "text": "Be "}, {"type": "text", "text": "brief."}]},
        HELLO,
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c", "content": "rain"},
    ]
    body = jamba(
        {"messages": messages, "tools": [WEATHER], "tool_choice": "none", "max_completion_tokens": 9}, stream=True
    )
    assert body == {
        "model": "jamba-large",
        "messages": [
            {"role": "system", "content": "Be brief."},
            HELLO,
            {"role": "assistant", "content": "", "tool_calls": [CALL]},
            messages[3],
        ],
        "max_tokens": 9,
        "stream": True,
    }


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"seed": 7}, "seed"),
        ({"tools": [WEATHER], "tool_choice": "required"}, "tool_choice"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}}, "json_schema"),
        ({"metadata": {"a": "b"}}, "metadata"),
        ({"tools": [{**WEATHER, "function": {**WEATHER["function"], "strict": True}}]}, "strict"),  # type: ignore[dict-item]
        ({"messages": [{"role": "user", "content": [{"type": "reasoning", "summary": []}]}]}, "reasoning"),
    ],
)  # fmt: skip
def test_what_jamba_cannot_do_is_refused_by_name(said: dict[str, Any], named: str):
    with pytest.raises(InvalidParameterValue, match=named):
        jamba(said)
    with pytest.raises(InvalidParameterValue, match="n together with stream"):
        jamba({"n": 2}, stream=True)


def test_jambas_error_in_a_stream_is_a_failure():
    reader = ai21.stream(JAMBA, False)
    events = reading.events([*reader.feed(_event({"detail": "overloaded"})), *reader.end()])
    assert reader.failure is not None and "overloaded" in reader.failure.message and reading.DONE not in events


def _event(said: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(said) + b"\n\n"
