"""Taking an object apart and putting it together is the same as parsing and writing it, except that no value is touched."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.unit.wire.json_texts import bodies, pairs

from headgate.errors import MalformedRequest
from headgate.wire import json_members


@settings(deadline=None)
@given(body=bodies())
@example(body=b'{"a":"\\\\","model":1}')
@example(body=b" { } ")
def test_apart_and_together_is_what_a_full_parse_says(body: bytes):
    members = json_members.taken_apart(body)
    assert list(members) == list(dict(pairs(body)))
    together = json_members.put_together(members)
    assert dict(pairs(together)) == dict(pairs(body))
    assert len(pairs(together)) == len(members)


@settings(deadline=None)
@given(body=bodies())
def test_values_stay_byte_for_byte(body: bytes):
    for name, value in json_members.taken_apart(body).items():
        assert bytes(value) in body
        assert pairs(b'{"v":' + bytes(value) + b"}")[0][1] == dict(pairs(body))[name]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"3", b'{"a":1}x', b'{"a":}', b'{"a":1,}', b"{a:1}", b'{"\\ud800":1}', b"[" * 100_000]
)
def test_what_is_no_object_is_malformed(body: bytes):
    with pytest.raises(MalformedRequest):
        json_members.taken_apart(body)


@settings(max_examples=40, deadline=None)
@given(body=bodies(), most=st.integers(0, 12))
@example(body=b'{"a":"\\\\","b":"\\",:[{"}', most=3)
def test_only_values_and_names_are_counted(body: bytes, most: int):
    def count(value: object) -> int:
        if isinstance(value, dict):
            return 1 + sum(1 + count(one) for one in value.values())
        return 1 + sum(map(count, value)) if isinstance(value, list) else 1

    # Of names given twice both are there.
    counted = count(json.loads(body, object_pairs_hook=lambda pairs: dict(enumerate(one for _, one in pairs))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_members, "MOST_VALUES", most)
        assert json_members.has_too_many_values(body) or counted <= most
        assert not json_members.has_too_many_values(body) or counted > most / 2


@pytest.mark.parametrize(
    ("unit", "too_many"), [(b"0", True), (b"[]", True), (b'""', True), (b'{"a":{}}', True), (b'"[{,:\\",:"', False)]
)
def test_absurdly_many_values_are_seen(unit: bytes, too_many: bool):
    count = 405_000 if too_many else 130_000
    assert json_members.has_too_many_values(b'{"input":[' + b",".join([unit] * count) + b"]}") is too_many
    assert not json_members.has_too_many_values(b'{"input":"' + b",:[{" * 200_000 + b'"}')
