from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.errors import BadRequest
from headgate.guardrails import bodies, texts

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**50), 2**50)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=20,
)


def leaves(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], Any]]:
    if isinstance(node, dict):
        return [leaf for name, value in node.items() for leaf in leaves(value, (*path, name))]
    if isinstance(node, list):
        return [leaf for place, value in enumerate(node) for leaf in leaves(value, (*path, place))]
    return [(path, node)] if isinstance(node, str) else []


@given(JSON, st.booleans())
def test_every_string_is_seen_where_it_is(tree: Any, indented: bool) -> None:
    body = orjson.dumps(tree, option=orjson.OPT_INDENT_2 if indented else 0)
    assert [(one.path, one.value) for one in texts.walk(body) if not one.number] == leaves(tree)


@pytest.mark.parametrize("unit", ["a", "\\", '"', 'a"', '\\"', "a\n" * 50, "é"])
def test_long_strings_are_seen_whole(unit: str) -> None:
    for length in (*range(7, 13), *range(97, 103), *range(254, 258), 20_000, 20_001):
        tree = {"a": (unit * length)[:length], "b": [unit, "end"]}
        assert [(one.path, one.value) for one in texts.walk(orjson.dumps(tree))] == leaves(tree)


def test_what_is_nested_absurdly_is_refused_and_as_a_text_read_as_one() -> None:
    nested = "[" * 101 + '"jane@example.com"' + "]" * 101
    with pytest.raises(BadRequest, match="100 deep"):
        bodies.asked(bodies.CHAT, b'{"messages":' + nested.encode() + b"}")
    assert texts.rewritten(nested, str.upper) == nested.upper()
    assert texts.rewritten(nested[1:-1], str.upper) == nested[1:-1].upper()


@given(JSON)
def test_replacing_keeps_json_and_every_other_byte(tree: Any) -> None:
    body = orjson.dumps(tree, option=orjson.OPT_INDENT_2)
    strings = [one for one in texts.walk(body) if not one.number]
    changed = texts.replaced(body, [(one, one.value + '"\n') for one in strings])
    assert leaves(orjson.loads(changed)) == [(path, value + '"\n') for path, value in leaves(tree)]
    assert texts.replaced(changed, [(new, old.value) for new, old in zip(
        [one for one in texts.walk(changed) if not one.number], strings, strict=True)]) == body  # fmt: skip


def test_a_member_that_is_there_twice_is_seen_twice() -> None:
    body = b'{"messages":[{"role":"user","content":"one"}],"messages":[{"role":"user","content":"two"}]}'
    assert [one.text.value for one in bodies.asked(bodies.CHAT, body)] == ["one", "two"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a 1", "a X"),
        ('{"a": "1", "b": 1, "1": true}', '{"a": "X", "b": "X", "X": true}'),
        ("[1,\n 2]", '["X",\n 2]'),
        ("{not json 1", "{not json X"),
        ("", ""),
    ],
)
def test_a_text_that_is_json_stays_json(value: str, expected: str) -> None:
    assert texts.rewritten(value, lambda text: text.replace("1", "X")) == expected


def test_what_a_value_is_its_name_may_say() -> None:
    def change(text: str) -> str:
        return text.replace("my pin: 7", "my pin: X")

    assert texts.rewritten('{"my_pin": 7, "year": 7, "list": ["my pin: 7"]}', change) == (
        '{"my_pin": "X", "year": 7, "list": ["my pin: X"]}'
    )


def test_whatever_else_goes_to_the_vendor_is_checked_but_for_settings() -> None:
    body = {
        "messages": [
            {"role": "user", "content": [
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "D"}},
                {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}},
            ]},
            {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {"name": "N", "data": "A"}}}]},
        ],
        "prediction": {"type": "content", "content": "P"},
        "extra_params": {"documents": ["E"]},
        "Messages": [{"role": "user", "content": "M"}],
        "temperature": 1,
        "stop": "not looked at",
    }  # fmt: skip
    said = [one.text.value for one in bodies.asked(bodies.CHAT, orjson.dumps(body))]
    assert said == ["D", "N", "A", "P", "E", "M"]


CHAT = orjson.dumps(
    {
        "messages": [
            {"role": "system", "content": "S"},
            {"role": "user", "name": "N", "content": [
                {"type": "text", "text": "U", "cache_control": {"type": "ephemeral"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
            ]},
            {"role": "assistant", "content": [{"type": "reasoning", "summary": [{"type": "summary_text", "text": "R", "signature": "x"}]}],
             "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":\"A\"}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "T"},
        ],
        "user": "not looked at",
        "tools": [{"type": "function", "function": {"name": "f", "description": "nor this"}}],
    }
)  # fmt: skip


def test_every_text_part_is_checked_and_no_image_name_or_id() -> None:
    asked = bodies.asked(bodies.CHAT, CHAT)
    assert [one.text.value for one in asked] == ["S", "U", '{"a":"A"}', "T"]
    assert [one.text.value for one in asked if one.by_user] == ["U", "T"]


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        (bodies.COMPLETIONS, {"prompt": ["a", "b"], "suffix": "c", "model": "m"}, ["a", "b", "c"]),
        (bodies.EMBEDDINGS, {"input": "a", "instruction": "b", "dimensions": 3}, ["a", "b"]),
        (bodies.RESPONSES, {"instructions": "i", "input": [{"role": "user", "content": [{"type": "input_text", "text": "a"}]},
                                        {"type": "function_call_output", "call_id": "c", "output": "o"}]}, ["i", "a", "o"]),
    ],
)  # fmt: skip
def test_the_other_kinds_have_texts_too(kind: str, body: dict[str, Any], expected: list[str]) -> None:
    assert [one.text.value for one in bodies.asked(kind, orjson.dumps(body))] == expected


def test_a_judge_reads_turns_of_user_and_assistant() -> None:
    body = {"messages": [
        {"role": "system", "content": "S"}, {"role": "assistant", "content": "hello"}, {"role": "user", "content": "a"},
        {"role": "user", "content": "b"}, {"role": "assistant", "content": "c"}, {"role": "tool", "content": "d"},
    ]}  # fmt: skip
    assert bodies.conversation(bodies.CHAT, orjson.dumps(body)) == [
        {"role": "user", "content": "a\n\nb"},
        {"role": "assistant", "content": "c"},
        {"role": "user", "content": "d"},
    ]


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        (bodies.CHAT, {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}],
                       "extra_params": {"documents": ["D"]}, "prediction": {"type": "content", "content": "P"}}, ["a", "b", "D\n\nP\n\nc"]),
        (bodies.CHAT, {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "documents": ["D"]},
         ["a", "b", "D"]),
        (bodies.CHAT, {"messages": [{"role": "developer", "content": "S"}]}, ["S"]),
        (bodies.CHAT, {"messages": [{"role": "assistant", "content": "A"}]}, ["A"]),
        (bodies.CHAT, {"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "text", "data": "D"}}]}]}, ["D"]),
        (bodies.COMPLETIONS, {"prompt": ["a", "b"], "suffix": "c"}, ["a\n\nc\n\nb"]),
        (bodies.RESPONSES, {"instructions": "S", "input": "a", "documents": ["D"]}, ["D\n\na"]),
        (bodies.RESPONSES, {"instructions": "S"}, ["S"]),
        (bodies.COMPLETIONS, {"prompt": [1, 2]}, []),
    ],
)  # fmt: skip
def test_a_judge_reads_what_users_say_wherever_it_stands(kind: str, body: dict[str, Any], expected: list[str]) -> None:
    read = bodies.conversation(kind, orjson.dumps(body))
    assert [turn["content"] for turn in read] == expected
    assert [turn["role"] for turn in read] == ["user", "assistant", "user"][: len(read)]


def test_of_messages_given_twice_a_judge_reads_both() -> None:
    body = b'{"messages":[{"role":"user","content":"one"}],"messages":[{"role":"user","content":"two"}]}'
    assert bodies.conversation(bodies.CHAT, body) == [{"role": "user", "content": "one\n\ntwo"}]


def test_many_messages_are_put_together_in_linear_time() -> None:
    turns = [("user", "a" * 50)] * 80_000
    (turn,) = bodies.by_turns(turns)
    assert len(turn["content"]) == 80_000 * 52 - 2


@pytest.mark.parametrize("messages", [[{"role": "system", "content": "S"}], [{"role": "tool", "content": "S"}]])
def test_where_no_user_asks_topics_are_of_all_that_is_said(messages: list[Any]) -> None:
    assert bodies.last_question(bodies.CHAT, orjson.dumps({"messages": messages})) == "S"
