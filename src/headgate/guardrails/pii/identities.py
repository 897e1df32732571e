"""Numbers that states give to people: American, and of countries whose numbers check themselves.

What is only digits, or fits too much else, counts only after a word that says what it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from headgate.guardrails.pii import numbers
from headgate.guardrails.pii.spans import LETTERS_AND_DIGITS, SIX_DIGITS, Recogniser, Span, patterned, words

_RANK = 70
_SSN_SAID = words("ssn", "social sec", "soc sec", "soc. sec")
_ITIN_SAID = words("itin", "taxpayer", "tax id")
_PASSPORT_SAID = words(
    "passport", "passeport", "pasaporte", "passaporto", "reisepass", "paszport", "paspoort", "passnummer"
)
_BANK_SAID = words(
    "account no",
    "account num",
    "account #",
    "bank account",
    "checking acc",
    "savings acc",
    "acct",
    "routing",
    "kontonummer",
)
_LICENSE_SAID = words(
    "driver license", "driver's license", "drivers license", "driver licence", "driving licen", "driver's licence", "führerschein"
)  # fmt: skip

_ODD = dict(zip("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23), strict=True))  # fmt: skip


def _bare(written: str) -> str:
    return re.sub(r"[^0-9A-Za-z]", "", written).upper()


_NINE = re.compile(r"[0-9](?<![0-9A-Za-z_.-].)[0-9]{2}([ .-]?)[0-9]{2}\1[0-9]{4}(?![0-9A-Za-z_]|[.-][0-9])")


def social_security_numbers(text: str) -> Iterator[Span]:
    """`536-22-1234`, or nine digits after a word that says so."""
    for match in _NINE.finditer(text):
        if _is_ssn(_bare(match[0])) and (len(match[0]) > 9 or _SSN_SAID.before(text, match.start())):
            yield match.span()


def taxpayer_numbers(text: str) -> Iterator[Span]:
    """The same of those who have no social security number: 9xx, and certain groups."""
    for match in _NINE.finditer(text):
        digits = _bare(match[0])
        group = int(digits[3:5])
        good = 50 <= group <= 65 or 70 <= group <= 88 or 90 <= group <= 92 or 94 <= group <= 99
        if digits[0] == "9" and good and (len(match[0]) > 9 or _ITIN_SAID.before(text, match.start())):
            yield match.span()


def _is_ssn(digits: str) -> bool:
    if digits[0] == "9" or digits[:3] in ("000", "666") or digits[3:5] == "00" or digits[5:] == "0000":
        return False
    # Printed in advertisements: nobody's.
    return digits not in ("078051120", "219099999")


def _is_nhs(written: str) -> bool:
    digits = _bare(written)
    return (11 - numbers.weighted(digits[:9], range(10, 1, -1), 11)) % 11 == int(digits[9])


def _is_pesel(digits: str) -> bool:
    return numbers.weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1), 10) == 0


def _is_spanish(written: str) -> bool:
    bare = _bare(written)
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(bare[:-1].translate(str.maketrans("XYZ", "012"))) % 23] == bare[-1]


def _is_italian(written: str) -> bool:
    even = sum(int(character) if character.isdigit() else ord(character) - 65 for character in written[1:15:2])
    return chr(65 + (even + sum(_ODD[character] for character in written[:15:2])) % 26) == written[15]


def _is_finnish(written: str) -> bool:
    return "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(written[:6] + written[7:10]) % 31] == written[10]


def _is_nino(written: str) -> bool:
    bare = _bare(written)
    return bare[:2] not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ")


def _is_aadhaar(written: str) -> bool:
    return numbers.verhoeff(_bare(written))


_NINO_LETTERS = "[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]"
_FREE = r"(?<![0-9A-Za-z_].)"

RECOGNISERS = (
    Recogniser("US_SSN", _RANK, SIX_DIGITS, social_security_numbers),
    Recogniser("US_ITIN", _RANK, SIX_DIGITS, taxpayer_numbers),
    Recogniser("US_PASSPORT", 65, SIX_DIGITS, patterned(rf"[A-Z0-9]{_FREE}[0-9]{{8}}", said=_PASSPORT_SAID)),
    Recogniser(
        "PASSPORT",
        64,
        LETTERS_AND_DIGITS,
        patterned(rf"[A-Z]{_FREE}(?=[A-Z0-9]{{0,3}}[0-9]{{2}})[A-Z0-9]{{6,9}}", said=_PASSPORT_SAID),
    ),
    Recogniser(
        "UK_NHS",
        _RANK,
        SIX_DIGITS,
        patterned(rf"[0-9]{_FREE}[0-9]{{2}}[ -]?[0-9]{{3}}[ -]?[0-9]{{4}}", _is_nhs, said=words("nhs")),
    ),
    Recogniser(
        "UK_NINO",
        _RANK,
        LETTERS_AND_DIGITS,
        patterned(rf"[0-9](?<={_NINO_LETTERS}[0-9])[0-9] ?[0-9]{{2}} ?[0-9]{{2}} ?[A-D]", _is_nino, lead=2),
    ),
    Recogniser(
        "UK_NINO",
        _RANK,
        LETTERS_AND_DIGITS,
        patterned(rf"[0-9](?<={_NINO_LETTERS} [0-9])[0-9] ?[0-9]{{2}} ?[0-9]{{2}} ?[A-D]", _is_nino, lead=3),
    ),
    Recogniser("ES_NIF", _RANK, SIX_DIGITS, patterned(rf"[0-9]{_FREE}[0-9]{{7}}-?[A-Za-z]", _is_spanish)),
    Recogniser(
        "ES_NIE", _RANK, LETTERS_AND_DIGITS, patterned(r"[0-9](?<=[XYZ][0-9])[0-9]{6}-?[A-Z]", _is_spanish, lead=1)
    ),
    Recogniser(
        "IT_FISCAL_CODE",
        _RANK,
        LETTERS_AND_DIGITS,
        patterned(r"[0-9](?<=[A-Z]{6}[0-9])[0-9][A-EHLMPRST][0-9]{2}[A-Z][0-9]{3}[A-Z]", _is_italian, lead=6),
    ),
    Recogniser("PL_PESEL", _RANK, SIX_DIGITS, patterned(rf"[0-9]{_FREE}[0-9]{{10}}", _is_pesel, said=words("pesel"))),
    Recogniser(
        "FI_PERSONAL_IDENTITY_CODE",
        _RANK,
        SIX_DIGITS,
        patterned(rf"[0-3]{_FREE}[0-9]{{5}}[+A-FU-Y-][0-9]{{3}}[0-9A-Y]", _is_finnish),
    ),
    Recogniser(
        "IN_AADHAAR",
        _RANK,
        SIX_DIGITS,
        patterned(
            rf"[2-9]{_FREE}[0-9]{{3}}[ -]?[0-9]{{4}}[ -]?[0-9]{{4}}",
            _is_aadhaar,
            said=words("aadhaar", "aadhar", "uidai"),
        ),
    ),
    Recogniser(
        "IN_PAN", _RANK, LETTERS_AND_DIGITS, patterned(r"[0-9](?<=[A-Z]{3}[ABCFGHJLPT][A-Z][0-9])[0-9]{3}[A-Z]", lead=5)
    ),
    Recogniser("US_BANK_NUMBER", 30, SIX_DIGITS, patterned(rf"[0-9]{_FREE}[0-9]{{7,16}}", said=_BANK_SAID)),
    Recogniser("US_DRIVER_LICENSE", 30, SIX_DIGITS, patterned(rf"[A-Z0-9]{_FREE}[0-9]{{6,13}}", said=_LICENSE_SAID)),
)
