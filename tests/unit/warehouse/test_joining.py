from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.domain.usage import Usage
from headgate.warehouse import joining


def stream(*events: Any, end: bytes = b"data: [DONE]\n\n") -> bytes:
    return b"".join(b"data: " + orjson.dumps(event) + b"\n\n" for event in events) + end


def joined(*events: Any, end: bytes = b"data: [DONE]\n\n") -> Any:
    return orjson.loads(joining.joined(stream(*events, end=end)))


def chunk(delta: Any, **more: Any) -> dict[str, Any]:
    return {
        "id": "c1",
        "object": "chat.completion.chunk",
        "model": "m",
        "choices": [{"index": 0, "delta": delta, **more}],
    }


def test_chat_chunks_make_a_completion() -> None:
    whole = joined(
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "he"}, logprobs=None),
        chunk({"content": "llo", "role": None}, finish_reason="stop"),
        {"id": "c1", "object": "chat.completion.chunk", "choices": [], "usage": {"prompt_tokens": 1}},
    )
    assert whole == {
        "id": "c1",
        "object": "chat.completion",
        "model": "m",
        "usage": {"prompt_tokens": 1},
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "hello"},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
    }


def test_pieces_of_tool_calls_are_put_together_by_their_index() -> None:
    whole = joined(
        chunk(
            {"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]}
        ),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"x"'}}]}),
        chunk({"tool_calls": [{"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}),
    )
    calls = whole["choices"][0]["message"]["tool_calls"]
    assert [(call["id"], call["function"]) for call in calls] == [
        ("a", {"name": "f", "arguments": '{"x":1}'}),
        ("b", {"name": "g", "arguments": "{}"}),
    ]


def test_several_choices_texts_and_logprobs() -> None:
    whole = joined(
        {"object": "text_completion", "choices": [{"index": 1, "text": "b", "logprobs": {"tokens": ["b"]}}]},
        {"object": "text_completion", "choices": [{"index": 0, "text": "a"}]},
        {"object": "text_completion", "choices": [{"index": 1, "text": "c", "logprobs": {"tokens": ["c"]}}]},
    )
    assert [choice["text"] for choice in whole["choices"]] == ["a", "bc"]
    assert whole["choices"][1]["logprobs"] == {"tokens": ["b", "c"]}


def test_responses_are_the_last_event_or_their_items() -> None:
    item = {"type": "message", "content": [{"type": "output_text", "text": "hello"}]}
    assert joined(
        {"type": "response.created"}, {"type": "response.completed", "response": {"id": "r", "output": [item]}}
    ) == {
        "id": "r",
        "output": [item],
    }
    agent = joined(
        {"type": "response.output_text.delta", "delta": "he"}, {"type": "response.output_item.done", "item": item}
    )
    assert agent["output"] == [item]
    early = joined({"type": "response.output_text.delta", "delta": "he"}, {"type": "error", "message": "broke"})
    assert early["output"][0]["content"][0]["text"] == "he"
    assert early["error"]["message"] == "broke"


def test_messages_of_anthropic() -> None:
    whole = joined(
        {
            "type": "message_start",
            "message": {"id": "m", "role": "assistant", "content": [], "usage": {"input_tokens": 3}},
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "he"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "llo"}},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "t", "input": {}}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"x":'}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "1}"}},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
        end=b"",
    )
    assert whole["content"] == [{"type": "text", "text": "hello"}, {"type": "tool_use", "id": "t", "input": {"x": 1}}]
    assert whole["usage"] == {"input_tokens": 3, "output_tokens": 5}
    assert whole["stop_reason"] == "tool_use"


def test_events_of_anybody_else_are_kept_as_they_came() -> None:
    assert joined({"predictions": [1]}, {"predictions": [2]}, 3) == [{"predictions": [1]}, {"predictions": [2]}, 3]
    assert joining.joined(b'{"plain":"json"}') == b'{"plain":"json"}'
    assert joining.joined(b"\xff\xfe") == b"\xff\xfe"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(("choices", "delta", "index", "type", "response", "message", "content", "usage", "text", "logprobs", "tool_calls")),
        inner, max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip
_TYPES = st.sampled_from(
    ("message_start", "content_block_delta", "message_delta", "response.completed", "response.output_item.done")
)


@given(
    st.lists(
        _JSON
        | st.fixed_dictionaries({"choices": _JSON})
        | st.fixed_dictionaries({"type": _TYPES, "delta": _JSON, "index": _JSON})
    )
)
def test_nothing_a_model_may_send_is_too_strange(events: list[Any]) -> None:
    joining.joined(stream(*events))
    for event in events:
        joining.request_characters(orjson.dumps(event))
        joining.response_characters(orjson.dumps(event))
        joining.response_usage(orjson.dumps({"usage": event}))


def test_deep_nesting_is_no_trouble() -> None:
    deep = b'{"choices":' + b"[" * 900 + b"]" * 900 + b"}"
    assert joining.joined(b"data: " + deep + b"\n\n")
    messages = b'{"messages":' + b'[{"content":' * 400 + b'"x"' + b"}]" * 400 + b"}"
    assert joining.request_characters(messages) == 0


def test_characters_are_those_of_texts() -> None:
    request = {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "abc"}, {"type": "image_url", "image_url": {"url": "data:"}}]}]}  # fmt: skip
    assert joining.request_characters(orjson.dumps(request)) == 3
    assert joining.request_characters(b'{"input":["ab","c"]}') == 3
    assert joining.request_characters(b'{"inputs":[1,2]}') is None
    assert joining.request_characters(b"[1]") is None
    assert joining.response_characters(b'{"choices":[{"text":"abcd"}]}') == 4
    assert joining.response_characters(b'{"data":[{"embedding":[1.0]}]}') is None


@pytest.mark.parametrize(
    ("body", "used"),
    [
        (b'{"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}', Usage(3, 4)),
        (b'{"usage":{"input_tokens":3,"output_tokens":4}}', Usage(3, 4)),
        (b'{"usage":{"prompt_tokens":3}}', Usage(3, 0)),
        (b'{"usage":{"prompt_tokens":"3","completion_tokens":-1}}', None),
        (b'{"usage":{"input_tokens":true}}', None),
        (b'{"predictions":[1]}', None),
        (b"[1]", None),
    ],
)
def test_usage_is_what_an_answer_of_our_own_models_says(body: bytes, used: Usage | None) -> None:
    assert joining.response_usage(body) == used
