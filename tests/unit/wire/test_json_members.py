"""Editing an object's bytes is the same as parsing, changing and writing it, except that nothing else moves."""

from __future__ import annotations

import json

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.unit.wire.json_texts import KEYS, bodies, pairs

from headgate.wire import json_members


@settings(deadline=None)
@given(body=bodies())
@example(body=b'{"a":"\\\\","model":1}')
@example(body=b" { } ")
def test_members_are_those_of_a_full_parse(body: bytes):
    found = json_members.members(body)
    assert [member.key for member in found] == [key for key, _ in pairs(body)]
    for member, (_, value) in zip(found, pairs(body), strict=True):
        assert pairs(b'{"v":' + body[member.value_start : member.value_end] + b"}") == [("v", value)]


@settings(deadline=None)
@given(
    body=bodies(),
    values=st.dictionaries(st.sampled_from(["model", "stream", "new"]), st.sampled_from([b'"m"', b"true", b'{"a":[1]}']), max_size=3),
    removed=st.sets(st.sampled_from([*KEYS, "absent"]), max_size=3),
)  # fmt: skip
def test_edited_is_parse_change_and_write(body: bytes, values: dict[str, bytes], removed: set[str]):
    removed -= set(values)
    before = [(key, value) for key, value in pairs(body) if key not in removed]
    new = {key: pairs(b'{"v":' + value + b"}")[0][1] for key, value in values.items()}
    present = {key for key, _ in before}
    wanted = [(key, value) for key, value in new.items() if key not in present]
    wanted += [(key, new.get(key, value)) for key, value in before]
    assert pairs(json_members.edited(body, values, removed)) == wanted


@settings(deadline=None)
@given(body=bodies())
def test_what_is_not_edited_stays_byte_for_byte(body: bytes):
    assert json_members.edited(body, {}) == body
    edited = json_members.edited(body, {"model": b'"m"'})
    kept = [body[one.start : one.value_end] for one in json_members.members(body) if one.key != "model"]
    assert [edited[one.start : one.value_end] for one in json_members.members(edited) if one.key != "model"] == kept
    json.loads(edited)
