from __future__ import annotations

import random

import pytest
from bench.pii import corpus, measure
from hypothesis import given
from hypothesis import strategies as st

from headgate.guardrails.pii import numbers
from headgate.guardrails.pii.findings import Finding, masked, merged
from headgate.guardrails.pii.recognisers import RECOGNISERS, BuiltIn

FINDER = BuiltIn()
MEGABYTE = 1_000_000


def mask(text: str) -> str:
    return masked(text, FINDER.find(text))


def test_the_corpus_is_recognised_but_for_what_is_known() -> None:
    found, missed, wrong, mistakes = measure.counted()
    assert (sum(missed.values()), sum(wrong.values())) == (2, 4), "\n".join(mistakes)
    assert sum(found.values()) >= 100


def test_every_recogniser_is_in_the_corpus() -> None:
    marked = {label for line in corpus.lines() for _, _, label in line.entities}
    assert {recogniser.label for recogniser in RECOGNISERS} == marked


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("卡号是4111111111111111。", "卡号是<CREDIT_CARD>。"),
        ("4\u200b111 1111\u00a01111 1111", "<CREDIT_CARD>"),
        ("４１１１ １１１１ １１１１ １１１１", "<CREDIT_CARD>"),
        ("٤١١١١١١١١١١١١١١١", "<CREDIT_CARD>"),
        ("536\u201122\u20111234", "<US_SSN>"),
        ("jane＠example．com", "<EMAIL_ADDRESS>"),
        ("ping fe80::1 or fe80::", "ping <IP_ADDRESS> or <IP_ADDRESS>"),
        ("https://bob:pw@host.example.com/x", "https://<URL_CREDENTIALS>@host.example.com/x"),
    ],
)
def test_other_scripts_and_unseen_characters_hide_nothing(text: str, expected: str) -> None:
    assert mask(text) == expected


@pytest.mark.parametrize(
    "unit",
    ["a", "1", "4 ", "@", "a@", "a@a.", "://a", "x://u:", "::", "1.", "+1(", "(1", "DE11 ", "bc1q", "passport A1 ", "phone 1 ", "ssn 1-",
     "4111 1111 1111 1111 ", "\u200b1", "1/"],
)  # fmt: skip
def test_a_megabyte_of_anything_takes_linear_time(unit: str) -> None:
    # Quadratic time would be hours: the test's own deadline is the assertion.
    FINDER.find((unit * (MEGABYTE // len(unit) + 1))[:MEGABYTE])


@given(st.text(alphabet="0123456789 .-()+/@:abAB\u200b\uff11", max_size=300))
def test_findings_are_in_order_apart_and_inside_the_text(text: str) -> None:
    at = 0
    for finding in FINDER.find(text):
        assert at <= finding.start < finding.end <= len(text)
        at = finding.end


@given(st.sampled_from(sorted(numbers.IBAN_LENGTHS)), st.randoms(use_true_random=False))
def test_an_iban_of_every_country_is_found_and_one_wrong_digit_is_not(country: str, rng: random.Random) -> None:
    account = "".join(rng.choice("0123456789") for _ in range(numbers.IBAN_LENGTHS[country] - 4))
    check = next(f"{value:02}" for value in range(2, 99) if numbers.mod97(f"{country}{value:02}{account}"))
    iban = f"{country}{check}{account}"
    assert [one.label for one in FINDER.find(f"to {iban}.")] == ["IBAN_CODE"]
    wrong = f"{country}{check}{account[:-1]}{(int(account[-1]) + 1) % 10}"
    assert "IBAN_CODE" not in {one.label for one in FINDER.find(f"to {wrong}.")}


@given(st.sampled_from(["4", "51", "2221", "34", "6011", "36", "3528", "62"]), st.randoms(use_true_random=False))
def test_a_card_of_every_issuer_is_found_and_one_wrong_digit_is_not(prefix: str, rng: random.Random) -> None:
    length = numbers.card_lengths(prefix.ljust(4, "0"))[-1]
    digits = prefix.ljust(4, "0") + "".join(rng.choice("0123456789") for _ in range(length - 5))
    card = next(digits + str(last) for last in range(10) if numbers.luhn(digits + str(last)))
    assert "CREDIT_CARD" in {one.label for one in FINDER.find(f"card {card}!")}
    wrong = card[:-1] + str((int(card[-1]) + 1) % 10)
    assert "CREDIT_CARD" not in {one.label for one in FINDER.find(f"card {wrong}!")}


def test_overlapping_findings_cover_all_of_both_under_the_name_of_the_surer() -> None:
    assert merged([Finding(5, 9, "B", 1), Finding(0, 6, "A", 2), Finding(9, 12, "C", 9)]) == [
        Finding(0, 9, "A", 2),
        Finding(9, 12, "C", 9),
    ]
