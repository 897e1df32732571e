from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from bench.pii import corpus
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.guardrails.scenes import PII_BLOCK, PII_MASK, ScriptedJudge, chat, guard, guarded

from headgate.domain.request_record import BLOCKED, FAILED, MASKED, PASSED
from headgate.guardrails import bodies
from headgate.guardrails.guard import Guard
from headgate.guardrails.holdback import Arguments, Checks, Window
from headgate.guardrails.pii.findings import masked
from headgate.guardrails.pii.recognisers import BuiltIn
from headgate.guardrails.pii.spans import LONGEST, SPACED
from headgate.guardrails.responses import ResponsesGuard
from headgate.guardrails.streaming import StreamGuard
from headgate.wire import sse

FINDER = BuiltIn()
PIECES = st.sampled_from(
    [line.text for line in corpus.lines()] + ["4111", "1111", "+1", "(", " ", "\n", ", ", "a" * 400, "AB ", "the end. "]
)
ASKED = chat("hello")


def chunk(delta: Any, index: int = 0, finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": index, "delta": delta, "finish_reason": finish, "logprobs": None}
    return sse.event(orjson.dumps({"id": "c", "object": "chat.completion.chunk", "choices": [choice], **more}))


def told(*pieces: str) -> list[bytes]:
    return [
        chunk({"role": "assistant", "content": ""}),
        *(chunk({"content": one}) for one in pieces),
        chunk({}, finish="stop"),
        sse.DONE,
    ]


def run(checks: Guard, events: list[bytes], stream: StreamGuard | None = None) -> tuple[list[Any], StreamGuard]:
    """All events that leave, `[DONE]` as the string."""
    stream = stream or StreamGuard(checks, bodies.CHAT, ASKED)

    async def source() -> AsyncIterator[bytes]:
        for event in events:
            yield event

    async def collected() -> bytes:
        return b"".join([event async for event in guarded(source(), stream, checks)])

    raw = asyncio.run(collected())
    return [
        data if (data := event.data.decode()) == "[DONE]" else orjson.loads(data) for event in sse.Splitter().feed(raw)
    ], stream


def said(events: list[Any], index: int = 0, member: str = "content") -> str:
    choices = [
        choice
        for event in events
        if isinstance(event, dict)
        for choice in event.get("choices", ())
        if choice["index"] == index
    ]
    return "".join(choice["delta"].get(member) or "" for choice in choices)


@settings(deadline=None)
@given(st.lists(PIECES, max_size=8), st.lists(st.integers(1, 40), min_size=1, max_size=6))
def test_however_a_text_is_cut_what_leaves_is_the_whole_text_masked(pieces: list[str], lengths: list[int]) -> None:
    text, window, left, at, turn = "".join(pieces), Window(Checks(FINDER, mask=True)), "", 0, 0
    whole = masked(text, FINDER.find(text))
    while at < len(text):
        length = lengths[turn % len(lengths)]
        left += window.feed(text[at : at + length])
        assert whole.startswith(left)
        at, turn = at + length, turn + 1
    assert left + window.end() == whole


@given(st.text(alphabet="ab 1.@+(é\u4e2d", max_size=600))
def test_what_is_held_back_is_bounded(text: str) -> None:
    window = Window(Checks(FINDER, mask=True))
    for character in text:
        window.feed(character)
        assert len(window._held) <= 2 * LONGEST


def test_of_prose_the_word_being_written_is_held_and_after_a_digit_a_little_more() -> None:
    window = Window(Checks(FINDER, mask=True))
    assert window.feed("It was a bright co") == "It was a bright "
    assert window.feed("ld day 13 ") == "cold day "
    assert window.feed("and the clocks struck, as they always do at such times of every year, thirteen") != ""
    assert len(window._held) <= SPACED


def test_a_stream_is_masked_and_its_last_chunk_says_so() -> None:
    events, stream = run(
        guard({"output": PII_MASK}), told("Mail jane", ".doe@exam", "ple.com or 41", "11 1111 11", "11 1111", " now")
    )
    assert said(events) == "Mail <EMAIL_ADDRESS> or <CREDIT_CARD> now"
    assert events[-1] == "[DONE]"
    assert events[-2]["choices"][0]["finish_reason"] == "stop"
    assert events[-2]["output_guardrail"] == [{"pii_detection": True, "flagged": False}]
    assert [(one.outcome, one.detail) for one in stream.verdicts] == [(MASKED, "CREDIT_CARD, EMAIL_ADDRESS")]


def test_a_clean_stream_says_the_same_and_has_no_note() -> None:
    events, stream = run(
        guard({"output": {**PII_BLOCK, "invalid_keywords": ["bomb"]}}), told("Hel", "lo ", "wor", "ld", ".")
    )
    assert said(events) == "Hello world."
    assert not any("output_guardrail" in event for event in events[:-1])
    assert [one.outcome for one in stream.verdicts] == [PASSED, PASSED]


@pytest.mark.parametrize(
    ("side", "pieces", "left"),
    [
        (PII_BLOCK, ["Sure, it is jane", "@example.com", " and more"], "Sure, it is "),
        ({"invalid_keywords": ["bomb"]}, ["This is about a bo", "mb, which is a thing"], ""),
    ],
)
def test_a_block_in_the_middle_is_one_error_event_and_the_end(
    side: dict[str, Any], pieces: list[str], left: str
) -> None:
    events, stream = run(guard({"output": side}), told(*pieces))
    assert left.startswith(said(events)) or said(events) in "This is about a "
    assert "[DONE]" not in events
    refused = orjson.loads(events[-1]["message"])
    assert refused["finishReason"] == "output_guardrail_triggered"
    assert events[-1]["error"]["message"] == events[-1]["message"]
    assert stream.refusal is not None and stream.feed(told("x")[1]) == [] and stream.end() == []
    assert stream.verdicts[0].outcome == BLOCKED
    assert not any("bomb" in str(event) or "jane" in str(event) for event in events)


def test_an_upstream_that_ends_early_gets_no_done_and_what_was_checked_leaves() -> None:
    events, _ = run(guard({"output": PII_MASK}), told("so fa", "r jane@exa", "mple.com")[:-2])
    assert said(events) == "so far <EMAIL_ADDRESS>"
    assert "[DONE]" not in events
    error = sse.event(
        b'{"error_code":"INTERNAL_ERROR","message":"upstream broke","error":{"message":"upstream broke"}}'
    )
    events, _ = run(guard({"output": PII_MASK}), [*told("so far")[:-2], error])
    assert said(events) == "so far"
    assert events[-1]["message"] == "upstream broke" and "[DONE]" not in events


def test_choices_and_tool_calls_are_texts_of_their_own() -> None:
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "pay", "arguments": ""}}
    events = [
        chunk({"role": "assistant", "content": "jane@"}),
        chunk({"role": "assistant", "content": "4111 1111 "}, index=1),
        chunk({"content": "example.com "}),
        chunk({"content": "1111 1111"}, index=1),
        chunk({"tool_calls": [call]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"card": 41111111'}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '11111111, "n": 1}'}}]}),
        chunk({}, finish="tool_calls"),
        chunk({}, index=1, finish="stop"),
        sse.DONE,
    ]
    left, _ = run(guard({"output": PII_MASK}), events)
    assert (said(left), said(left, 1)) == ("<EMAIL_ADDRESS> ", "<CREDIT_CARD>")
    calls = [one for event in left[:-1] for choice in event["choices"] for one in choice["delta"].get("tool_calls", ())]
    assert orjson.loads("".join(one["function"].get("arguments", "") for one in calls)) == {
        "card": "<CREDIT_CARD>",
        "n": 1,
    }
    assert [one.get("id") for one in calls].count("c1") == 1


def test_reasoning_and_lists_of_parts_are_checked_too() -> None:
    def reasoning(text: str) -> dict[str, Any]:
        return {
            "content": [{"type": "reasoning", "summary": [{"type": "summary_text", "text": text, "signature": "s"}]}]
        }

    events = [
        chunk(reasoning("think jane@exa")),
        chunk(reasoning("mple.com")),
        chunk({"content": [{"type": "text", "text": "hi"}]}),
        chunk({}, finish="stop"),
    ]
    left, _ = run(guard({"output": PII_MASK}), events)
    parts = [part for event in left for choice in event["choices"] for part in choice["delta"].get("content") or ()]
    assert (
        "".join(part["summary"][0]["text"] for part in parts if part["type"] == "reasoning") == "think <EMAIL_ADDRESS>"
    )
    assert "".join(part["text"] for part in parts if part["type"] == "text") == "hi"


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=5))
def test_bytes_may_come_in_any_pieces(lengths: list[int]) -> None:
    raw, cut, at = b"".join(told("I am jane@", "example.com", "!")), [], 0
    while at < len(raw):
        cut.append(raw[at : at + lengths[len(cut) % len(lengths)]])
        at += len(cut[-1])
    assert said(run(guard({"output": PII_MASK}), cut)[0]) == "I am <EMAIL_ADDRESS>!"


def test_nothing_leaves_before_the_judge_said_it_is_safe() -> None:
    judge = ScriptedJudge()
    checks = guard({"output": {"safety": True}}, judge)
    safe, poisoned = "All is well here. " * 10, "Now take the poison. " * 30
    events, stream = run(checks, told(*(one + " " for one in (safe * 3 + poisoned).split())))
    assert "poison" not in said(events) and said(events) in safe * 3 + " " and len(said(events)) >= 400
    assert orjson.loads(events[-1]["message"])["output_guardrail"][0]["flagged"] is True
    assert "[DONE]" not in events
    assert judge.asked[0]["messages"][0] == {"role": "user", "content": "hello"}
    assert [(one.guardrail, one.outcome) for one in stream.verdicts] == [("safety", BLOCKED)]
    events, stream = run(checks, told("All is ", "well."))
    assert said(events) == "All is well." and events[-1] == "[DONE]"
    assert [(one.guardrail, one.outcome) for one in stream.verdicts] == [("safety", PASSED)]


def test_a_shadow_on_a_stream_forwards_at_once_and_records() -> None:
    side = {**PII_BLOCK, "invalid_keywords": ["bomb"], "safety": True}
    checks = guard({"output": side}, ScriptedJudge(), shadow=True)
    stream = StreamGuard(checks, bodies.CHAT, ASKED)
    assert b"jane@" in b"".join(stream.feed(chunk({"content": "jane@"})))
    events, stream = run(checks, told("jane@", "example.com has a bomb and poison"))
    assert said(events) == "jane@example.com has a bomb and poison" and events[-1] == "[DONE]"
    assert [(one.guardrail, one.outcome, one.shadow) for one in stream.verdicts] == [
        ("pii", BLOCKED, True), ("invalid_keywords", BLOCKED, True), ("safety", BLOCKED, True),
    ]  # fmt: skip


class Broken:
    def find(self, text: str) -> list[Any]:
        raise RuntimeError(text)


@pytest.mark.parametrize("on_failure", ["open", "closed"])
def test_a_recogniser_that_fails_in_the_middle_is_closed_or_open_as_configured(on_failure: str) -> None:
    checks = guard({"output": PII_MASK}, finder=Broken(), on_failure=on_failure)
    events, stream = run(checks, told("one two ", "three"))
    assert [(one.outcome, one.detail) for one in stream.verdicts] == [(FAILED, "RuntimeError")]
    if on_failure == "open":
        assert said(events) == "one two three" and events[-1] == "[DONE]"
    else:
        assert said(events) == "" and events[-1]["error_code"] == "TEMPORARILY_UNAVAILABLE"


def test_arguments_longer_than_there_is_room_for_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Arguments, "most_characters", 50)
    pieces = [chunk({"tool_calls": [{"index": 0, "function": {"arguments": "x" * 30}}]}) for _ in range(2)]
    events, stream = run(guard({"output": PII_MASK}), pieces)
    assert events[-1]["error_code"] == "TEMPORARILY_UNAVAILABLE" and stream.verdicts[0].outcome == FAILED


@pytest.mark.parametrize("garbage", [b"data: {broken\n\n", b"data: 17\n\n"])
def test_garbage_in_a_stream_is_a_failure_of_the_check(garbage: bytes) -> None:
    events, _ = run(guard({"output": PII_MASK}), [garbage])
    assert events[-1]["error_code"] == "TEMPORARILY_UNAVAILABLE"


def test_log_probabilities_of_a_guarded_stream_are_left_out() -> None:
    event = orjson.dumps(
        {
            "choices": [
                {
                    "index": 0,
                    "delta": {"content": "jane@"},
                    "logprobs": {"content": [{"token": "jane@"}]},
                    "finish_reason": None,
                }
            ]
        }
    )
    left, _ = run(guard({"output": PII_MASK}), [sse.event(event)])
    assert left[0]["choices"][0]["logprobs"] is None


def test_completions_stream_text() -> None:
    def piece(text: str, finish: str | None = None) -> bytes:
        return sse.event(orjson.dumps({"choices": [{"index": 0, "text": text, "finish_reason": finish}]}))

    checks = guard({"output": PII_MASK})
    left, _ = run(
        checks,
        [piece("I am ja"), piece("ne@example.com", "stop"), sse.DONE],
        StreamGuard(checks, bodies.COMPLETIONS, b'{"prompt":"x"}'),
    )
    assert "".join(one["choices"][0]["text"] for one in left[:-1]) == "I am <EMAIL_ADDRESS>"


def test_the_responses_api_says_each_text_thrice_and_each_is_checked() -> None:
    place = {"item_id": "m", "output_index": 0, "content_index": 0}
    text = "I am jane@example.com"
    part = {"type": "output_text", "text": text, "annotations": []}
    item = {"id": "m", "type": "message", "role": "assistant", "content": [part]}
    events = [
        {"type": "response.created", "sequence_number": 0, "response": {"id": "r", "output": []}},
        {"type": "response.output_text.delta", "sequence_number": 1, **place, "delta": "I am jane@"},
        {"type": "response.output_text.delta", "sequence_number": 2, **place, "delta": "example.com"},
        {"type": "response.output_text.done", "sequence_number": 3, **place, "text": text},
        {"type": "response.content_part.done", "sequence_number": 4, **place, "part": part},
        {"type": "response.output_item.done", "sequence_number": 5, "output_index": 0, "item": item},
        {
            "type": "response.completed",
            "sequence_number": 6,
            "response": {"id": "r", "output": [item], "usage": {"total_tokens": 3}},
        },
    ]
    checks = guard({"output": PII_MASK})
    left, stream = run(
        checks, [sse.event(orjson.dumps(one)) for one in events], ResponsesGuard(checks, b'{"input":"x"}')
    )
    assert "".join(one["delta"] for one in left if one["type"].endswith("delta")) == "I am <EMAIL_ADDRESS>"
    assert b"jane" not in orjson.dumps(left)
    assert left[-1]["response"]["output"][0]["content"][0]["text"] == "I am <EMAIL_ADDRESS>"
    assert [one["sequence_number"] for one in left] == list(range(len(left)))
    assert stream.verdicts[0].outcome == MASKED
    checks = guard({"output": PII_BLOCK})
    left, _ = run(checks, [sse.event(orjson.dumps(one)) for one in events], ResponsesGuard(checks, b'{"input":"x"}'))
    assert b"jane" not in orjson.dumps(left) and left[-1]["error_code"] == "BAD_REQUEST"
