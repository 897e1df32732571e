from __future__ import annotations

import pytest
from tests.fakes.records import record

from headgate.warehouse.spool import context


def said(body: bytes) -> tuple[str | None, dict[str, str]]:
    found = context.completed(record("r1", request=body, client_request_id=None, usage_context={}))
    return found.client_request_id, dict(found.usage_context)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"client_request_id":"mine"}', ("mine", {})),
        (
            b'{"client_request_id":7,"usage_context":{"a":"b","n":1.5,"l":[1]}}',
            ("7", {"a": "b", "n": "1.5", "l": "[1]"}),
        ),
        (b'{"client_request_id":null,"usage_context":null}', (None, {})),
        (b'{"client_request_id":"mine","usage_context":"no object"}', ("mine", {})),
        (b'{"messages":[{"content":"client_request_id"}]}', (None, {})),
        (b'{"nested":{"client_request_id":"not mine"}}', (None, {})),
        (b'{"client_request_id":"cut off', (None, {})),
        (b'"client_request_id"', (None, {})),
        (b'{"client_request_id":"\xff"}', (None, {})),
        (b'{"client_request_id":"\\ud800"}', (None, {})),
        (b"", (None, {})),
    ],
)
def test_what_a_client_says_of_itself_is_looked_up_in_its_body(
    body: bytes, expected: tuple[str | None, dict[str, str]]
) -> None:
    assert said(body) == expected


def test_it_is_bounded() -> None:
    words = b",".join(b'"k%d":"%b"' % (number, b"x" * 5000) for number in range(200))
    name, kept = said(b'{"usage_context":{%b},"client_request_id":"%b"}' % (words, b"y" * 5000))
    assert len(name or "") == context.LONGEST_TEXT
    assert len(kept) == context.MOST_WORDS
    assert {len(value) for value in kept.values()} == {context.LONGEST_TEXT}


def test_what_is_known_already_is_not_looked_up() -> None:
    known = record("r1", request=b'{"client_request_id":"other"}', client_request_id="mine")
    assert context.completed(known) is known
