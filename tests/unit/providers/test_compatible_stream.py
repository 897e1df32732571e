"""Streams of OpenAI's dialect: the vendor's own bytes, usage taken note of, ends told apart."""

from __future__ import annotations

import orjson
import pytest

from headgate.domain.usage import Usage
from headgate.providers.compatible_stream import Reader, ResponsesReader

DONE = b"data: [DONE]\n\n"
USED = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def chunk(text: str | None = "a", finish: str | None = None, **more: object) -> bytes:
    delta = {} if text is None else {"content": text}
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return b"data: " + orjson.dumps({"id": "1", "choices": choices, **more}) + b"\n\n"


USAGE = b"data: " + orjson.dumps({"id": "1", "choices": [], "usage": USED}) + b"\n\n"


def reader(include_usage: bool = False, forgives: bool = False) -> Reader:
    return Reader("OpenAI", include_usage, forgives)


def test_whole_chunks_leave_as_the_object_they_came_as():
    came = chunk() + chunk("b")
    out = reader().feed(came)
    assert len(out) == 1 and out[0] is came


@pytest.mark.parametrize("include_usage", [False, True])
def test_the_usage_chunk_is_for_those_who_asked(include_usage: bool):
    read = reader(include_usage)
    out = b"".join(read.feed(chunk("a", usage=None)) + read.feed(chunk(None, "stop", usage=None) + USAGE + DONE))
    kept = chunk("a", usage=None) + chunk(None, "stop", usage=None)
    assert out == kept + (USAGE if include_usage else b"") + DONE
    assert read.usage == Usage(3, 2) and read.complete and read.end() == []


def test_an_event_of_several_lines_leaves_as_one():
    said = b'data: {"id":"1",\ndata: "choices":[]}\n\n'
    assert reader().feed(said + chunk()) == [b'data: {"id":"1", "choices":[]}\n\n', chunk()]


def test_usage_in_every_chunk_stays_and_the_last_counts():
    read = reader()
    one, two = chunk(usage={**USED, "completion_tokens": 1}), chunk("b", "stop", usage=USED)
    assert b"".join(read.feed(one + two + DONE)) == one + two + DONE
    assert read.usage == Usage(3, 2)


def test_a_chunk_without_choices_that_is_not_usage_stays():
    azure = b'data: {"choices":[],"prompt_filter_results":[{}]}\n\n'
    assert reader().feed(azure) == [azure]


@pytest.mark.parametrize("noise", [b": ping\n\n", b"data: \n\n", b"data:\n\n", b"event: x\n", b"\n", b"id: 7\r\n"])
def test_nothing_but_data_lines_leaves(noise: bytes):
    assert b"".join(reader().feed(noise + chunk())) == chunk()
    assert b"".join(reader().feed(chunk().replace(b"\n\n", b"\r\n\r\n"))) == chunk()


def test_text_that_looks_like_the_protocol_is_text():
    read = reader()
    out = read.feed(chunk('data: [DONE]\n\n{"usage":{"prompt_tokens":1},"error":1,"choices":[]}'))
    assert len(out) == 1 and not read.complete and read.failure is None and read.usage is None


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        ({"error": {"message": "overloaded", "code": 503}}, 503, "overloaded"),
        ({"error": {"message": "no", "code": "server_error"}}, 500, "no"),
        ({"error_code": "INTERNAL_ERROR", "message": "broken"}, 500, "broken"),
        ({"error": "text"}, 500, "text"),
    ],
)
def test_a_failure_in_the_middle_is_said_in_our_words_and_ends_it(error: dict[str, object], status: int, words: str):
    read = reader()
    out = b"".join(read.feed(chunk() + b"data: " + orjson.dumps(error) + b"\n\n" + chunk() + DONE))
    assert out.startswith(chunk()) and out.count(b"data: ") == 2 and not read.complete
    said = orjson.loads(out[len(chunk()) + 6 :])
    assert words in said["message"] and said["error"]["message"] == said["message"]
    assert read.failure is not None and read.failure.status == status
    assert read.feed(DONE) == [] == read.end()


def test_after_done_nothing_more_is_said():
    read = reader()
    assert b"".join(read.feed(chunk() + DONE + chunk())) == chunk() + DONE
    assert read.feed(chunk()) == [] == read.end()


def test_a_custom_server_may_leave_out_done_once_it_said_why_it_finished():
    read = reader(forgives=True)
    read.feed(chunk() + chunk(None, "stop") + USAGE)
    assert read.end() == [DONE] and read.complete
    cut = reader(forgives=True)
    cut.feed(chunk())
    assert b"before it was complete" in cut.end()[0] and not cut.complete
    strict = reader()
    strict.feed(chunk(None, "stop"))
    assert b"error" in strict.end()[0]


def test_a_last_event_without_its_empty_line_counts():
    read = reader()
    assert read.feed(chunk() + b"data: [DONE]") == [chunk()]
    assert read.end() == [DONE] and read.complete


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "x"},
        {"tool_calls": [{"index": 0}]},
        {"reasoning_content": "x"},
        {"content": [{"type": "text", "text": "x"}]},
    ],
)
def test_content_of_any_kind_is_content(delta: dict[str, object]):
    read = reader()
    read.feed(b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null}}]}\n\n')
    assert not read.first_content
    read.feed(b"data: " + orjson.dumps({"choices": [{"index": 0, "delta": delta}]}) + b"\n\n")
    assert read.first_content


def test_a_response_is_complete_with_its_last_event_and_needs_no_done():
    read = ResponsesReader("OpenAI")
    begun = b'event: response.created\ndata: {"type":"response.created","response":{"usage":null}}\n\n'
    delta = b'event: x\ndata: {"type":"response.output_text.delta","delta":"a"}\n\n'
    used = {"input_tokens": 7, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 4}}
    done = b"data: " + orjson.dumps({"type": "response.completed", "response": {"usage": used}}) + b"\n\n"
    assert b"".join(read.feed(begun)) == begun.partition(b"\n")[2] and not read.first_content
    assert b"".join(read.feed(delta)) == delta.partition(b"\n")[2] and read.first_content
    assert b"".join(read.feed(done)) == done
    assert read.complete and read.usage == Usage(7, 2, cached_tokens=4) and read.end() == []
    cut = ResponsesReader("OpenAI")
    cut.feed(begun + delta)
    assert b'"error"' in cut.end()[0] and cut.failure is not None
    failed = ResponsesReader("OpenAI")
    assert b"too busy" in failed.feed(b'data: {"type":"error","message":"too busy"}\n\n')[0]
    assert failed.failure is not None
