"""Taking an object apart and putting it together is the same as parsing and writing it, except that no value is touched."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
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
