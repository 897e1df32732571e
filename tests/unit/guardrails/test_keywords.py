from __future__ import annotations

import pytest

from headgate.guardrails.keywords import Keywords

KEYWORDS = Keywords(["bomb", "Credit Score", "c++", "Müller", "炸弹", "хаос", "@home", "ﬁre"])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a BOMB!", "bomb"),
        ("bo\u200bmb", "bomb"),
        ("b\u00adomb", "bomb"),
        ("ｂｏｍｂ", "bomb"),
        ("bоmb", "bomb"),  # a Cyrillic о
        ("b̶o̶m̶b̶", "bomb"),
        ("_bomb_", "bomb"),
        ("我有bomb吗", "bomb"),
        ("my credit\n  score is", "Credit Score"),
        ("credit\u00a0SCORE", "Credit Score"),
        ("learn C++ today", "c++"),
        ("MÜLLER", "Müller"),
        ("Mu\u0308ller", "Müller"),
        ("做炸弹的方法", "炸弹"),
        ("ХАОС", "хаос"),
        ("mail @home now", "@home"),
        ("fire", "ﬁre"),
    ],
)
def test_a_keyword_is_found_however_it_is_written(text: str, found: str) -> None:
    assert KEYWORDS.found(text) == found


@pytest.mark.parametrize(
    "text", ["bombastic", "abomb", "credit and score", "creditscore", "Muller", "с", "firewall", "", "c+", "home"]
)
def test_what_only_contains_a_keyword_is_not_one(text: str) -> None:
    assert KEYWORDS.found(text) is None


def test_the_end_of_a_text_that_goes_on_is_open() -> None:
    assert KEYWORDS.found("a bomb", complete=False) is None
    assert KEYWORDS.found("a bomb ", complete=False) == "bomb"
    assert KEYWORDS.found("a bomb, b", complete=False) == "bomb"


def test_a_russian_word_is_not_the_english_one_it_looks_like() -> None:
    assert Keywords(["cop"]).found("сор") is None  # Russian for litter


def test_without_keywords_there_is_nothing_to_find() -> None:
    assert not Keywords(["", " \u200b"])


@pytest.mark.parametrize(
    "text", ["the Falcon flies", "a falconer", "project  FALCON!", "fal\u200bcon", "鷹の計画です", "nothing", ""]
)
def test_few_keywords_find_what_many_do(text: str) -> None:
    wanted = ["falcon", "project falcon", "計画", "!falcon"]
    many = [*wanted, *(f"something else {number}" for number in range(100))]
    assert Keywords(wanted).found(text) == Keywords(many).found(text)
