"""Card numbers, IBANs and addresses of crypto currencies: all of them prove themselves by a checksum."""

from __future__ import annotations

import re
from collections.abc import Iterator

from headgate.guardrails.pii import crypto, numbers
from headgate.guardrails.pii.spans import (
    ANY_DIGIT,
    LETTERS_AND_DIGITS,
    SIX_DIGITS,
    Recogniser,
    Span,
    overlapping,
    patterned,
    stands_free,
)

# Digit by digit only from the first digit on.
_CARD = re.compile(r"[2-68](?<![0-9A-Za-z_].)(?:(?<![0-9][ -].)|(?=[0-9]{3}))(?:[ -]?[0-9]){11,18}")
_IBAN = re.compile(r"[0-9](?<=[A-Za-z]{2}[0-9])[0-9][ -]?[0-9A-Za-z]")


def card_numbers(text: str) -> Iterator[Span]:
    """By issuer, length, Luhn and a grouping that people write: together, digit by digit, or in fours and more."""
    for match in overlapping(_CARD, text):
        run = match[0]
        places = [place for place, character in enumerate(run) if character not in " -"]
        digits = "".join(run[place] for place in places)
        for length in numbers.card_lengths(digits):
            if length > len(digits):
                continue
            end = places[length - 1] + 1
            if (
                stands_free(text, match.start(), match.start() + end)
                and _grouped(run[:end])
                and numbers.luhn(digits[:length])
            ):
                yield match.start(), match.start() + end
                break


def _grouped(written: str) -> bool:
    groups = [len(group) for group in re.split("[ -]", written)]
    return len(groups) == 1 or all(length >= 4 for length in groups[:-1]) or set(groups) == {1}


def ibans(text: str) -> Iterator[Span]:
    """By country, that country's length, and the check digits; single spaces or hyphens between groups."""
    for match in overlapping(_IBAN, text):
        start = match.start() - 2
        length = numbers.IBAN_LENGTHS.get(text[start : start + 2].upper(), 0)
        end = _end_of(text, start, length)
        if (
            end is not None
            and stands_free(text, start, end)
            and numbers.mod97(re.sub("[ -]", "", text[start:end]).upper())
        ):
            yield start, end


def _end_of(text: str, start: int, characters: int) -> int | None:
    """Where that many letters and digits end, single gaps among them not counted; None: there are not so many."""
    at = start
    while characters and at < len(text):
        if text[at].isascii() and text[at].isalnum():
            characters -= 1
        elif text[at] not in " -" or text[at - 1] in " -":
            return None
        at += 1
    return at if at > start and characters == 0 else None


CREDIT_CARD = Recogniser("CREDIT_CARD", 80, SIX_DIGITS, card_numbers)
IBAN_CODE = Recogniser("IBAN_CODE", 80, LETTERS_AND_DIGITS, ibans)


def crypto_addresses(text: str) -> Iterator[Span]:
    """Bitcoin's three forms and Ethereum's."""
    for find in _CRYPTO:
        yield from find(text)


_CRYPTO = (
    patterned(r"[13](?<![0-9A-Za-z_].)[1-9A-HJ-NP-Za-km-z]{25,34}(?![0-9A-Za-z])", crypto.base58check),
    patterned(r"bc1[02-9ac-hj-np-z]{11,71}(?![0-9A-Za-z])", crypto.bech32),
    patterned(r"0x[0-9A-Fa-f]{40}(?![0-9A-Za-z])", crypto.eip55),
)
CRYPTO = Recogniser("CRYPTO", 80, ANY_DIGIT, crypto_addresses)
