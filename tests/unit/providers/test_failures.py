"""Refusals of vendors: when to come again, in whose words, as which error."""

from __future__ import annotations

import pytest

from headgate.errors import BadRequest, TemporarilyUnavailable, TooManyRequests
from headgate.providers import failures
from headgate.providers.port import CHAT, Target, VendorFailure

DATE = b"Sat, 21 Nov 2026 10:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({b"retry-after": b"7"}, 7.0),
        ({b"retry-after": b"0.5"}, 0.5),
        ({b"retry-after-ms": b"250", b"retry-after": b"1"}, 0.25),
        ({b"retry-after": b"Sat, 21 Nov 2026 10:00:30 GMT", b"date": DATE}, 30.0),
        ({b"retry-after": b"Sat, 21 Nov 2026 09:00:00 GMT", b"date": DATE}, 0.0),
        ({b"retry-after": b"Sat, 21 Nov 2026 10:00:30 GMT"}, None),
        ({b"retry-after": b"soon"}, None),
        ({b"retry-after": b"-3"}, None),
        ({b"retry-after": b"nan"}, None),
        ({b"retry-after": b"99999999"}, 86400.0),
        ({b"retry-after": b"\xff"}, None),
        ({}, None),
    ],
)
def test_when_to_come_again(headers: dict[bytes, bytes], wait_s: float | None):
    assert failures.retry_after_s(headers) == wait_s


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error":{"message":"a"}}', "a"),
        (b'{"error":"a"}', "a"),
        (b'[{"error":{"message":"a"}}]', "a"),
        (b'{"message":"a"}', "a"),
        (b'{"detail":[{"message":"a"}]}', "a"),
        (b'{"error_code":"X","message":"a"}', "a"),
        (b"a", "a"),
        (b"<html>a</html>", ""),
        (b'{"odd":1}', '{"odd":1}'),
    ],
)
def test_whose_words(body: bytes, words: str):
    assert failures.message_of(body) == words


def test_long_words_are_cut():
    assert len(failures.failure("V", 400, {}, "x" * 10_000).message) < 1100


@pytest.mark.parametrize(
    ("failure", "raised", "headers"),
    [
        (VendorFailure(429, "m", 1.2, True), TooManyRequests, {"Retry-After": "2"}),
        (VendorFailure(503, "m", 0.0, True), TemporarilyUnavailable, {"Retry-After": "1"}),
        (VendorFailure(400, "m"), BadRequest, {}),
        (VendorFailure(502, "m"), TemporarilyUnavailable, {}),
    ],
)
def test_as_which_error(failure: VendorFailure, raised: type, headers: dict[str, str]):
    error = failures.error(failure)
    assert type(error) is raised and error.headers == headers and error.message == "m"


def test_a_redirect_is_not_followed_but_a_failure():
    assert failures.failure("V", 302, {b"location": b"http://169.254.169.254/"}, "").status == 503


def test_a_vendor_that_quotes_our_key_is_not_quoted():
    target = Target("openai", "m", CHAT, {"openai_api_key": "sk-secret", "openai_organization": "org-public"})
    said = failures.failure("OpenAI", 400, {}, "no sk-secret for org-public")
    assert failures.without_secrets(said, target).message == "OpenAI answered 400: no *** for org-public"


def test_a_key_that_the_end_of_a_message_cuts_in_two_is_not_quoted_either():
    target = Target("openai", "m", CHAT, {"openai_api_key": "sk-secret-key"})
    for padding in range(960, 1001):
        said = failures.failure("OpenAI", 400, {}, "x" * padding + " sk-secret-key")
        assert "sk-s" not in failures.without_secrets(said, target).message


def test_a_key_that_is_quoted_with_escapes_is_known():
    target = Target("openai", "m", CHAT, {"openai_api_key": "sk-secret-key"})
    words = failures.message_of(b'{"odd":"\\u0073k-secret-key"}')
    assert "secret" not in failures.without_secrets(failures.failure("V", 400, {}, words), target).message


def test_no_vendor_says_more_than_anybody_reads():
    assert len(failures.message_of(b'{"error":{"message":"%b"}}' % (b"x" * 100_000))) == 4000
