"""Long texts are looked at a window at a time; what comes out is what one look at the whole gives."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterator

import pytest
from bench.pii import corpus
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.guardrails import folding
from headgate.guardrails.keywords import Keywords
from headgate.guardrails.pii.recognisers import BuiltIn
from headgate.guardrails.pii.spans import REACH, Recogniser, Span

WHOLE = 10**9
KEYWORDS = ["bomb", "Credit Score", "c++", "Müller", "炸弹", "хаос", "@home", "ﬁre", "a b", "각하"]
PIECES = st.sampled_from(
    [line.text for line in corpus.lines()]
    + ["4111", "1111 ", "+1", "(", " ", "\n", ", ", ".", ":", "::", "-", "@", "://", "a" * 300, "." * 70, "1." * 40, ":a" * 60, "fe80::1",
       "fe80::", "12345", "phone ", "ssn ", "\u200b" * 90, "\u200b", "４", "\uff20", "x" * 600 + "@"]
)  # fmt: skip
LETTERS = st.one_of(
    st.sampled_from(
        [*KEYWORDS, " ", "  ", "\n", "\u3000", "bоmb", "a", "b", "а", "б", "1", "_", "+", "\u200b", "\u0301", "\u0316", "\u0336", "e\u0301",
         "\u1112", "\u1161", "\u11a8", "각", "吗", "ﬀ", "ﷺ", "ß", "İ", "ΐ", "\uff9e", "カ", "か\u3099", "а" * 260]
    ),
    st.text(max_size=5),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(PIECES, max_size=12), st.integers(1, 400))
def test_personal_data_is_found_wherever_windows_lie(pieces: list[str], window: int) -> None:
    text = "".join(pieces)
    assert BuiltIn(window=window).find(text) == BuiltIn(window=WHOLE).find(text)


@settings(deadline=None)
@given(st.lists(LETTERS, max_size=20), st.integers(1, 40))
def test_texts_are_folded_alike_wherever_windows_lie(pieces: list[str], window: int) -> None:
    text = "".join(pieces)
    assert folding.canonical(text, window) == folding.canonical(text, WHOLE)
    small, whole = folding.plain(text, window), folding.plain(text, WHOLE)
    assert (small.text, small.origin) == (whole.text, whole.origin)


@settings(deadline=None)
@given(st.lists(LETTERS, max_size=20), st.integers(1, 40), st.booleans())
def test_keywords_are_found_wherever_windows_lie(pieces: list[str], window: int, few: bool) -> None:
    text = "".join(pieces)
    wanted = KEYWORDS if few else [*KEYWORDS, *(f"something else {number}" for number in range(100))]
    assert Keywords(wanted, window).found(text) == Keywords(wanted, WHOLE).found(text)


def test_folding_a_short_text_is_what_unicode_says() -> None:
    for text in ("Ångström", "가각힣", "ﬁﬀﷺ", "か\u3099", "e\u0301\u0316x", "ǅ"):
        told = unicodedata.normalize("NFC", unicodedata.normalize("NFKC", text).casefold())
        assert folding.canonical(text).replace(" ", "") == "".join(c for c in told if c not in " \u0316")


def test_recognisers_are_never_given_more_than_a_window_and_what_they_need_around_it() -> None:
    seen: list[str] = []

    def find(text: str) -> Iterator[Span]:
        seen.append(text)
        yield from (match.span() for match in re.finditer("b", text))

    text = "a" * 99_999 + "b" + "a" * 100_000
    found = BuiltIn([Recogniser("B", 1, re.compile("[ab]"), find)]).find(text)
    assert [(one.start, one.end) for one in found] == [(99_999, 100_000)]
    assert max(map(len, seen)) <= folding.WINDOW + 2 * REACH


@pytest.mark.parametrize("unit", ["\u0301\u0316", "\u1161\u11a8", "\u0344\u0f73", "\U0001d165\U0001d16d\u0301"])
def test_marks_in_a_row_take_linear_time(unit: str) -> None:
    # Sorted by Unicode's rules these would take minutes to hours: the test's own deadline is the assertion.
    text = unit * (1_000_000 // len(unit))
    assert Keywords(["bomb"]).found(f"bo{text}mb, bo{unit}mb") is None
    assert Keywords(["bomb"]).found(f"b\u0336{text} bomb") == "bomb"


def test_every_character_that_joins_the_one_before_is_known() -> None:
    joins, *_ = folding._joining()
    composed = {
        character
        for code in range(sys.maxunicode + 1)
        if (told := unicodedata.decomposition(chr(code))) and told[0] != "<"
        for character in unicodedata.normalize("NFD", chr(code))[1:]
    }
    moved = {character for character in map(chr, range(sys.maxunicode + 1)) if unicodedata.combining(character)}
    assert [character for character in sorted(composed | moved) if joins.match(character) is None] == []
