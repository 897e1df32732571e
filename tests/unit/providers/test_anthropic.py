"""What is Anthropic's alone in its adapter; what all vendors share is in the conformance suite."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from headgate.errors import InvalidParameterValue
from headgate.providers.anthropic import asking
from headgate.providers.anthropic.vendor import Anthropic
from headgate.providers.port import CHAT, EMBEDDINGS, BadAnswer, Request, Target

CONFIG = {"anthropic_api_key": "sk-x"}
TARGET = Target("anthropic", "claude-x", CHAT, CONFIG)
VENDOR = Anthropic(now_s=lambda: 1_760_000_000.5)
HELLO = {"role": "user", "content": "Hello?"}
TOOL = {"type": "function", "function": {"name": "look"}}


def asked(**body: Any) -> dict[str, Any]:
    return asking.messages_request("claude-x", {"messages": [HELLO], **body})


def prepared(**body: Any) -> Any:
    return VENDOR.prepare(TARGET, Request({"messages": [HELLO], **body}), None, 0.0)


def refusal(**body: Any) -> str:
    with pytest.raises(InvalidParameterValue) as refused:
        prepared(**body)
    return refused.value.message


def test_the_number_of_tokens_anthropic_insists_on_leaves_room_beside_the_thinking():
    assert asked()["max_tokens"] == 4096
    assert asked(thinking={"type": "enabled", "budget_tokens": 2000})["max_tokens"] == 6096
    assert asked(max_completion_tokens=7, max_tokens=8)["max_tokens"] == 7
    assert "max_tokens" in refusal(max_tokens="9") and "at least 1" in refusal(max_tokens=0)


def test_the_older_version_of_the_api_is_asked_where_sampling_is():
    def version(**body: Any) -> bytes:
        return dict(prepared(**body).headers)[b"anthropic-version"]

    assert version() == b"2026-10-21"
    assert {version(temperature=0.5), version(top_p=1), version(top_k=3)} == {b"2023-06-01"}
    assert version(temperature=None) == b"2026-10-21"
    assert "0 to 1" in refusal(temperature=1.5)


def test_an_address_of_your_own_stands_in_for_anthropics():
    for base in ("https://proxy.example/x", "https://proxy.example/x/", "https://proxy.example/x/v1"):
        target = Target("anthropic", "m", CHAT, {**CONFIG, "anthropic_api_base": base})
        assert (
            VENDOR.prepare(target, Request({"messages": [HELLO]}), None, 0.0).url
            == "https://proxy.example/x/v1/messages"
        )
    assert prepared().url == "https://api.anthropic.com/v1/messages"


def test_what_opens_the_conversation_is_the_system_prompt_and_what_comes_later_is_refused():
    said = asked(
        messages=[
            {"role": "system", "content": "A."},
            {"role": "developer", "content": [{"type": "text", "text": "B."}]},
            HELLO,
        ]
    )
    assert said["system"] == [{"type": "text", "text": "A."}, {"type": "text", "text": "B."}]
    assert "messages[1]" in refusal(messages=[HELLO, {"role": "system", "content": "A."}])
    assert "text only" in refusal(
        messages=[{"role": "system", "content": [{"type": "image_url", "image_url": "http://x"}]}, HELLO]
    )
    assert "not of the system" in refusal(messages=[{"role": "system", "content": "A."}])


def test_results_of_tools_and_what_the_user_says_next_are_one_turn():
    calls = [{"id": f"t{n}", "type": "function", "function": {"name": "look", "arguments": ""}} for n in (1, 2)]
    said = asked(
        tools=[TOOL],
        messages=[
            HELLO,
            {"role": "assistant", "content": "", "tool_calls": calls, "refusal": None, "annotations": []},
            {"role": "tool", "tool_call_id": "t1", "name": "look", "content": "one"},
            {"role": "tool", "tool_call_id": "t2", "content": ""},
            {"role": "user", "content": "So?"},
        ],
    )
    assert said["messages"][1:] == [
        {"role": "assistant", "content": [{"type": "tool_use", "id": f"t{n}", "name": "look", "input": {}} for n in (1, 2)]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "one"}]},
            {"type": "tool_result", "tool_use_id": "t2"},
            {"type": "text", "text": "So?"},
        ]},
    ]  # fmt: skip
    assert said["tools"] == [{"name": "look", "input_schema": {"type": "object", "properties": {}}}]


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        (None, None, None),
        ("auto", None, {"type": "auto"}),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        ("required", False, {"type": "any", "disable_parallel_tool_use": True}),
        ("none", False, {"type": "none"}),
        ({"type": "function", "function": {"name": "look"}}, True, {"type": "tool", "name": "look"}),
    ],
)
def test_the_choice_among_tools(choice: Any, parallel: bool | None, expected: Any):
    assert asked(tools=[TOOL], tool_choice=choice, parallel_tool_calls=parallel).get("tool_choice") == expected


def test_images_and_documents():
    def block(item: dict[str, Any]) -> dict[str, Any]:
        return dict(asked(messages=[{"role": "user", "content": [item]}])["messages"][0]["content"][0])

    png = {
        "type": "image_url",
        "image_url": {"url": "data:image/PNG;base64,AAAA", "detail": "high"},
        "cache_control": {"type": "ephemeral"},
    }
    assert block(png) == {
        "type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}, "cache_control": {"type": "ephemeral"},
    }  # fmt: skip
    assert block({"type": "image_url", "image_url": {"url": "https://x/y"}})["source"] == {
        "type": "url",
        "url": "https://x/y",
    }
    pdf = {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBE", "filename": "a.pdf"}}
    assert block(pdf) == {
        "type": "document",
        "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"},
        "title": "a.pdf",
    }
    text = {
        "type": "file",
        "file": {"file_data": "data:text/markdown;base64," + base64.b64encode("# ü".encode()).decode()},
    }
    assert block(text)["source"] == {"type": "text", "media_type": "text/plain", "data": "# ü"}
    document = {
        "type": "document",
        "source": {"type": "url", "url": "https://x/y.pdf"},
        "citations": {"enabled": True},
        "context": "c",
    }
    assert block(document) == document


@pytest.mark.parametrize(
    ("item", "named"),
    [
        ({"type": "image_url", "image_url": {"url": "data:image/png,AAAA"}}, "data: URL"),
        ({"type": "image_url", "image_url": {"url": "https://x", "detail": "low"}}, "detail"),
        ({"type": "file", "file": {"file_id": "f"}}, "file_data"),
        ({"type": "file", "file": {"file_data": "data:text/plain;base64,!"}}, "UTF-8"),
        ({"type": "document", "source": "x"}, "source"),
        ({"type": "input_audio", "input_audio": {}}, "input_audio"),
        ({"type": "text", "text": 5}, "text"),
        ("text", "not"),
    ],
)
def test_content_it_cannot_take_is_refused_by_its_place(item: Any, named: str):
    assert named in refusal(messages=[{"role": "user", "content": [item]}])


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ({"role": "user", "content": "x", "name": "ann"}, "messages[0].name"),
        ({"role": "assistant", "content": "x", "reasoning_content": "y"}, "reasoning_content"),
        ({"role": "assistant"}, "neither"),
        ({"role": "function", "name": "f", "content": "x"}, "messages[0]"),
        ({"role": "assistant", "tool_calls": [{"id": "1", "type": "custom"}]}, "tool_calls[0]"),
        ({"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{"}}]}, "arguments"),
        ({"role": "tool", "content": "x"}, "tool_call_id"),
    ],
)
def test_messages_it_cannot_take_are_refused_by_their_place(message: Any, named: str):
    assert named in refusal(messages=[message])


def test_effort_and_structure_and_the_vendors_own_parameters_meet():
    schema = {"name": "a", "description": "An a.", "schema": {"type": "object"}}
    said = asked(
        reasoning_effort="high", response_format={"type": "json_schema", "json_schema": schema}, extra_params={"output_config": {"x": 1}, "speed": "fast"}
    )  # fmt: skip
    wanted = {"type": "json_schema", "schema": {"description": "An a.", "type": "object"}}
    assert said["output_config"] == {"effort": "high", "format": wanted, "x": 1} and said["speed"] == "fast"
    assert asked(reasoning_effort="none")["thinking"] == {"type": "disabled"}
    assert "minimal" in refusal(reasoning_effort="minimal")
    assert "json_object" in refusal(response_format={"type": "json_object"})


def test_the_older_form_of_tools_is_refused():
    assert "functions" in refusal(functions=[{"name": "look"}]) and "function_call" in refusal(function_call="auto")


def test_betas_are_a_header_and_the_system_prompt_is_no_extra_parameter():
    sent = prepared(extra_params={"anthropic_beta": ["a-1", "b-2"]})
    assert dict(sent.headers)[b"anthropic-beta"] == b"a-1,b-2" and b"anthropic_beta" not in sent.body
    assert "anthropic_beta" in refusal(extra_params={"anthropic_beta": ["a\r\nx: y"]})
    for name in ("system", "mcp_servers", "container"):
        assert name in refusal(extra_params={name: "x"})


def test_who_asks_is_its_user_and_other_metadata_is_refused():
    assert asked(user="u")["metadata"] == asked(metadata={"user_id": "u"})["metadata"] == {"user_id": "u"}
    assert "team" in refusal(metadata={"team": "x"})
    assert "metadata" not in asked(metadata={})


def test_what_it_thought_goes_back_to_it_unchanged():
    content = [
        {"type": "thinking", "thinking": "Hm.", "signature": "sig"},
        {"type": "redacted_thinking", "data": "enc"},
        {"type": "text", "text": "Let me."},
        {"type": "tool_use", "id": "t1", "name": "look", "input": {"a": 1}},
    ]
    message = {
        "type": "message", "id": "msg_1", "model": "m", "role": "assistant", "content": content, "stop_reason": "tool_use",
        "usage": {"input_tokens": 1, "output_tokens": 2},
    }  # fmt: skip
    said = orjson.loads(VENDOR.answer(TARGET, orjson.dumps(message)).body)
    assert said["created"] == 1_760_000_000
    shown = said["choices"][0]["message"]
    assert shown["content"] == [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm.", "signature": "sig"}]},
        {"type": "reasoning", "summary": [{"type": "summary_encrypted_text", "data": "enc"}]},
        {"type": "text", "text": "Let me."},
    ]
    result = {"role": "tool", "tool_call_id": "t1", "content": "x"}
    assert asked(tools=[TOOL], messages=[HELLO, shown, result])["messages"][1]["content"] == content


def test_citations_stay_with_their_text():
    cited = {"type": "text", "text": "So.", "citations": [{"type": "char_location", "cited_text": "s"}]}
    message = {"type": "message", "id": "1", "model": "m", "content": [cited], "stop_reason": "end_turn", "usage": {}}
    assert orjson.loads(VENDOR.answer(TARGET, orjson.dumps(message)).body)["choices"][0]["message"]["content"] == [
        cited
    ]


def events(*said: dict[str, Any]) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (one["type"].encode(), orjson.dumps(one)) for one in said)


START = {
    "type": "message_start",
    "message": {"id": "msg_1", "model": "m", "usage": {"input_tokens": 5, "output_tokens": 1}},
}


@pytest.mark.parametrize(
    ("kind", "status"),
    [("overloaded_error", 503), ("rate_limit_error", 429), ("invalid_request_error", 400), ("new_error", 500)],
)
def test_an_error_in_the_middle_of_a_stream_is_the_last_event(kind: str, status: int):
    reader = VENDOR.stream(TARGET, False)
    out = reader.feed(
        events(START, {"type": "error", "error": {"type": kind, "message": "Busy"}}, {"type": "message_stop"})
    )
    assert reader.failure is not None and reader.failure.status == status and "Busy" in reader.failure.message
    assert reader.failure.retryable == (status != 400) and not reader.complete and not reader.first_content
    assert b"error_code" in out[-1] and reader.end() == [] and reader.feed(events({"type": "message_stop"})) == []
    assert reader.usage is not None and reader.usage.prompt_tokens == 5


def test_a_call_without_arguments_has_an_empty_object_of_them():
    reader = VENDOR.stream(TARGET, False)
    block = {"type": "tool_use", "id": "t1", "name": "now", "input": {}}
    out = reader.feed(
        events(START, {"type": "content_block_start", "index": 0, "content_block": block},
               {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": ""}}, {"type": "content_block_stop", "index": 0})
    )  # fmt: skip
    pieces = [orjson.loads(event[6:])["choices"][0]["delta"].get("tool_calls") for event in out]
    assert "".join(piece[0]["function"]["arguments"] for piece in pieces if piece) == "{}"


def test_what_a_stream_brought_in_pieces_goes_back_as_the_thoughts_it_was():
    def delta(**said: Any) -> dict[str, Any]:
        return {"type": "content_block_delta", "index": 0, "delta": said}

    reader = VENDOR.stream(TARGET, False)
    thoughts = [delta(type="thinking_delta", thinking=text) for text in ("Six ", "by ", "nine.")]
    out = reader.feed(
        events(
            START,
            *thoughts,
            delta(type="signature_delta", signature="s1"),
            delta(type="thinking_delta", thinking="Or"),
            delta(type="signature_delta", signature="s2"),
        )
    )
    items = [item for event in out[1:] for item in orjson.loads(event[6:])["choices"][0]["delta"]["content"]]
    assert len(items) == 6
    back = asked(messages=[HELLO, {"role": "assistant", "content": [*items, {"type": "text", "text": "42."}]}])
    assert back["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "Six by nine.", "signature": "s1"},
        {"type": "thinking", "thinking": "Or", "signature": "s2"},
        {"type": "text", "text": "42."},
    ]


def test_events_that_are_new_are_passed_over():
    reader = VENDOR.stream(TARGET, False)
    new = {"type": "content_block_delta", "index": 0, "delta": {"type": "hologram_delta", "x": 1}}
    assert len(reader.feed(events(START, {"type": "weather"}, new, {"type": "message_stop"}))) == 2 and reader.complete


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{",
        b'{"type":"message"}',
        b'{"type":"message","content":[{}]}',
        b'{"type":"message","content":[{"type":"text"}]}',
    ],
)
def test_an_answer_that_is_none_is_the_vendors_fault(body: bytes):
    with pytest.raises(BadAnswer):
        VENDOR.answer(TARGET, body)


def test_what_anthropic_has_no_api_for_is_refused():
    with pytest.raises(InvalidParameterValue, match="llm/v1/embeddings"):
        VENDOR.prepare(Target("anthropic", "m", EMBEDDINGS, CONFIG), Request({"input": "x"}), None, 0.0)
    assert VENDOR.token_request(TARGET, 0.0) is None
