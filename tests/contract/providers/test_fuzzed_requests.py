"""Requests that are nearly right: whatever stands in the place of any part of them, the answer is a request to the vendor or a 400."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.contract.providers.cases import PIXEL, WEATHER
from tests.contract.providers.rows import Row, rows

from headgate.errors import HeadgateError
from headgate.providers.port import CHAT, Request
from headgate.wire.messages import asking

CACHE = {"type": "ephemeral"}
CHAT_BODY: dict[str, Any] = {
    "model": "m", "max_tokens": 9, "temperature": 0.5, "stop": ["x"], "stream": True, "stream_options": {"include_usage": True},
    "user": "u", "metadata": {"user_id": "u"}, "thinking": {"type": "enabled", "budget_tokens": 1}, "reasoning_effort": "low",
    "tools": [{**WEATHER, "cache_control": CACHE}], "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
    "parallel_tool_calls": False, "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
    "extra_params": {"a": {"b": 1}},
    "messages": [
        {"role": "system", "content": [{"type": "text", "text": "s", "cache_control": CACHE}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": PIXEL}}, {"type": "text", "text": "t"},
                                     {"type": "document", "source": {"type": "text", "data": "d"}, "title": "x"},
                                     {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA==", "filename": "f"}}]},
        {"role": "assistant", "content": [{"type": "reasoning", "summary": [{"type": "summary_text", "text": "r", "signature": "s"},
                                                                           {"type": "summary_encrypted_text", "data": "AA=="}]}],
         "tool_calls": [{"id": "1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": "t"}]},
    ],
}  # fmt: skip
MESSAGES_BODY: dict[str, Any] = {
    "model": "m", "max_tokens": 9, "stop_sequences": ["x"], "stream": True, "metadata": {"user_id": "u"}, "thinking": {"type": "adaptive"},
    "system": [{"type": "text", "text": "s", "cache_control": CACHE}], "tools": [{"name": "n", "input_schema": {"type": "object"}, "cache_control": CACHE}],
    "tool_choice": {"type": "tool", "name": "n"}, "output_config": {"format": {"type": "json_schema", "schema": {}}, "effort": "low"},
    "messages": [
        {"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "u"}}, {"type": "document", "source": {"type": "text", "data": "d"}}]},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "t", "signature": "s"}, {"type": "tool_use", "id": "1", "name": "n", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": "t"}], "is_error": True, "cache_control": CACHE}]},
    ],
}  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every part."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, part in inner for place in places(part, (*path, key)))]


def with_other(body: dict[str, Any], path: tuple[Any, ...], other: Any) -> Any:
    """The body with something else at this place."""
    if not path:
        return other
    changed = copy.deepcopy(body)
    part: Any = changed
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = other
    return changed


OTHER = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["type", "text", "name", "url", "function", "content", "x"]), inner, max_size=3),
    max_leaves=4,
)  # fmt: skip
often = settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
TRANSLATED = [row for row in rows() if not row.provider.capabilities.unknown]


@pytest.mark.parametrize("row", TRANSLATED, ids=lambda row: row.name)
@often
@given(path=st.sampled_from(places(CHAT_BODY)), other=OTHER, kept=st.sets(st.sampled_from(sorted(CHAT_BODY))))
def test_a_chat_request_with_anything_anywhere_is_sent_or_refused(
    row: Row, path: tuple[Any, ...], other: Any, kept: set[str]
):
    body = with_other(CHAT_BODY, path, other)
    if isinstance(body, dict) and path:
        body = {name: value for name, value in body.items() if name in kept or name in ("messages", path[0])}
    try:
        sent = row.provider.prepare(row.target(CHAT), Request(orjson.dumps(body), True), row.credential, 1.0)
    except HeadgateError as error:
        assert error.http_status == 400 and len(error.message) > 10
    else:
        orjson.loads(sent.body)


@often
@given(path=st.sampled_from(places(MESSAGES_BODY)), other=OTHER, marks=st.booleans())
@example(path=("metadata",), other="x", marks=True)
@example(path=("tool_choice", "type"), other=[], marks=True)
def test_a_message_with_anything_anywhere_is_translated_or_refused(path: tuple[Any, ...], other: Any, marks: bool):
    try:
        chat = asking.chat_request(
            orjson.dumps(with_other(MESSAGES_BODY, path, other)), keep_cache_marks=marks, keep_thinking=not marks
        )
    except HeadgateError as error:
        assert error.http_status == 400 and len(error.message) > 10
    else:
        orjson.dumps(chat)
