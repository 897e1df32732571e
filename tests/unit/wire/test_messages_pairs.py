"""Golden pairs of Anthropic's Messages API and the middle language: what one side says, word for word on the other."""

from __future__ import annotations

from typing import Any

import orjson

from headgate.wire.messages import answering, asking, streaming

REASONED = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm.", "signature": "sig"}]}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at": "x"}'}}
USED = {"prompt_tokens": 20, "completion_tokens": 7, "total_tokens": 27, "prompt_tokens_details": {"cached_tokens": 5}}
COUNTED = {"input_tokens": 15, "output_tokens": 7, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 0}


def test_a_request() -> None:
    asked = {
        "model": "e", "max_tokens": 9, "system": "Be brief.", "stream": True, "stop_sequences": ["END"], "temperature": 0.5,
        "tools": [{"name": "look", "input_schema": {"type": "object"}}], "tool_choice": {"type": "any"},
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "look", "input": {"at": "x"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "seen"}, {"type": "text", "text": "So?"}]},
        ],
    }  # fmt: skip
    assert asking.chat_request(orjson.dumps(asked), keep_cache_marks=False, keep_thinking=False) == {
        "model": "e", "max_tokens": 9, "temperature": 0.5, "stream": True, "stream_options": {"include_usage": True}, "stop": ["END"],
        "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}], "tool_choice": "required",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "t1", "type": "function", "function": {"name": "look", "arguments": '{"at":"x"}'}}]},
            {"role": "tool", "tool_call_id": "t1", "content": "seen"},
            {"role": "user", "content": "So?"},
        ],
    }  # fmt: skip


def test_an_answer() -> None:
    said = {"role": "assistant", "content": [REASONED, {"type": "text", "text": "Looking."}], "tool_calls": [CALL]}
    completion = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "usage": USED,
                  "choices": [{"index": 0, "message": said, "finish_reason": "tool_calls"}]}  # fmt: skip
    assert orjson.loads(answering.message(orjson.dumps(completion))) == {
        "id": "msg_chatcmpl-1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "tool_use", "stop_sequence": None,
        "content": [{"type": "thinking", "thinking": "Hm.", "signature": "sig"}, {"type": "text", "text": "Looking."},
                    {"type": "tool_use", "id": "call_1", "name": "look", "input": {"at": "x"}}],
        "usage": COUNTED,
    }  # fmt: skip


def test_a_stream() -> None:
    def chunk(delta: Any, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": more.pop("finish_reason", None)}
        return b"data: " + orjson.dumps({"id": "1", "model": "m", "choices": [choice], **more}) + b"\n\n"

    writer = streaming.Writer()
    written = writer.feed(
        [
            chunk({"role": "assistant", "content": [REASONED]}),
            chunk({"content": "Look"}),
            chunk({"content": "ing."}),
            chunk({"tool_calls": [{"index": 0, **CALL}]}, finish_reason="tool_calls"),
            b"data: " + orjson.dumps({"id": "1", "choices": [], "usage": USED}) + b"\n\n",
            b"data: [DONE]\n\n",
        ]
    )
    told = []
    for event in b"".join(written).decode().strip().split("\n\n"):
        name, data = event.split("\n")
        said = orjson.loads(data.removeprefix("data: "))
        assert name == f"event: {said['type']}"
        told.append({key: value for key, value in said.items() if key not in ("message",)})

    def delta(index: int, **said: Any) -> dict[str, Any]:
        return {"type": "content_block_delta", "index": index, "delta": said}

    def begun(index: int, **block: Any) -> dict[str, Any]:
        return {"type": "content_block_start", "index": index, "content_block": block}

    def ended(index: int) -> dict[str, Any]:
        return {"type": "content_block_stop", "index": index}

    assert told == [
        {"type": "message_start"},
        begun(0, type="thinking", thinking="", signature=""), delta(0, type="thinking_delta", thinking="Hm."),
        delta(0, type="signature_delta", signature="sig"), ended(0),
        begun(1, type="text", text=""), delta(1, type="text_delta", text="Look"), delta(1, type="text_delta", text="ing."), ended(1),
        begun(2, type="tool_use", id="call_1", name="look", input={}), delta(2, type="input_json_delta", partial_json='{"at": "x"}'), ended(2),
        {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": COUNTED},
        {"type": "message_stop"},
    ]  # fmt: skip


def test_an_error_in_the_middle() -> None:
    error = {"error_code": "TEMPORARILY_UNAVAILABLE", "message": "It broke.", "error": {"message": "It broke."}}
    (written,) = streaming.Writer().feed([b"data: " + orjson.dumps(error) + b"\n\n"])
    name, data = written.decode().strip().split("\n")
    assert name == "event: error"
    assert orjson.loads(data.removeprefix("data: ")) == {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "It broke."},
        "error_code": "TEMPORARILY_UNAVAILABLE",
        "message": "It broke.",
    }
