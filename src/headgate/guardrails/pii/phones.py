"""Telephone numbers: international ones, those of North America, and common European ways to write national ones.

National numbers without a form of their own (ten digits in a row) count only after a word like `phone`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from headgate.guardrails.pii.spans import SIX_DIGITS, Recogniser, Span, overlapping, words

_CODES = frozenset(
    map(
        str,
        (
            1, 7, 20, 27, 30, 31, 32, 33, 34, 36, 39, 40, 41, 43, 44, 45, 46, 47, 48, 49, 51, 52, 53, 54, 55, 56, 57, 58, 60, 61, 62, 63, 64,
            65, 66, 81, 82, 84, 86, 90, 91, 92, 93, 94, 95, 98, 211, 212, 213, 216, 218, 220, 221, 222, 223, 224, 225, 226, 227, 228, 229,
            230, 231, 232, 233, 234, 235, 236, 237, 238, 239, 240, 241, 242, 243, 244, 245, 246, 248, 249, 250, 251, 252, 253, 254, 255, 256,
            257, 258, 260, 261, 262, 263, 264, 265, 266, 267, 268, 269, 290, 291, 297, 298, 299, 350, 351, 352, 353, 354, 355, 356, 357, 358,
            359, 370, 371, 372, 373, 374, 375, 376, 377, 378, 380, 381, 382, 383, 385, 386, 387, 389, 420, 421, 423, 500, 501, 502, 503, 504,
            505, 506, 507, 508, 509, 590, 591, 592, 593, 594, 595, 596, 597, 598, 599, 670, 672, 673, 674, 675, 676, 677, 678, 679, 680, 681,
            682, 683, 685, 686, 687, 688, 689, 690, 691, 692, 800, 808, 850, 852, 853, 855, 856, 870, 878, 880, 881, 882, 883, 886, 888, 960,
            961, 962, 963, 964, 965, 966, 967, 968, 970, 971, 972, 973, 974, 975, 976, 977, 979, 992, 993, 994, 995, 996, 998,
        ),
    )
)  # fmt: skip
_NATIONAL_DIGITS = {
    "1": (10, 10), "7": (10, 10), "30": (10, 10), "31": (9, 9), "32": (8, 9), "33": (9, 9), "34": (9, 9), "36": (8, 9), "39": (6, 11),
    "41": (9, 9), "44": (9, 10), "45": (8, 8), "46": (7, 9), "47": (8, 8), "48": (9, 9), "49": (6, 12), "55": (10, 11), "61": (9, 9),
    "81": (9, 10), "86": (10, 11), "91": (10, 10), "351": (9, 9), "353": (7, 9), "358": (5, 11), "420": (9, 9), "421": (9, 9),
}  # fmt: skip
_ANY_NATIONAL = (5, 12)

_GAP = r"[ .()/-]{0,3}"
_INTERNATIONAL = re.compile(rf"(?:\+|0(?<![0-9A-Za-z_.].)0)[ (]?[1-9](?:{_GAP}[0-9]){{6,15}}")
_AMERICAN = re.compile(
    r"[(1-9](?<![0-9A-Za-z_+].)(?:"
    r"(?<=1)[ .-]?(?:\([2-9][0-9]{2}\)[ .-]{0,2}|[2-9][0-9]{2}[ .-])|(?<=\()[2-9][0-9]{2}\)[ .-]{0,2}|(?<=[2-9])[0-9]{2}[ .-]"
    r")[2-9][0-9]{2}[ .-][0-9]{4}(?![0-9A-Za-z_])"
)
_EUROPEAN = re.compile(
    r"0(?<![0-9A-Za-z_.,+-].)(?:"
    r"[1-9](?:[ .-][0-9]{2}){4}"  # France: 01 42 68 53 00
    r"|20[ -]?[0-9]{4}[ -][0-9]{4}|1[0-9]{2,3}[ -][0-9]{3}[ -]?[0-9]{3,4}|7[0-9]{3}[ -][0-9]{3}[ -]?[0-9]{3}"  # Great Britain
    r"|1[567][0-9]{1,2}[ /-][0-9]{3,4}[ ]?[0-9]{3,4}|[2-9][0-9]{1,3}[/][ ]?[0-9]{4,8}"  # Germany: 0171 1234567, 030/1234567
    r")(?![0-9A-Za-z_])"
)
_BARE = re.compile(r"[(0-9](?<![0-9A-Za-z_.,+-].)(?<![0-9][ ./()-].)(?:[ ./()-]{0,2}[0-9]){6,13}(?![0-9A-Za-z_])")
_SAID = words(
    "phone", "telephone", "telef", "tel.", "tel:", "tel ", "mobil", "cell", "call ", "call:", "fax", "whatsapp", "sms", "text me", "dial",
    "rufnummer", "handynummer", "móvil", "portable", "komórk", "reach me", "reach him", "reach her", "reach us",
)  # fmt: skip
_DATE = re.compile(
    r"(?:19|20)[0-9]{2}[ ./-][0-9]{1,2}[ ./-][0-9]{1,2}|[0-9]{1,2}[ ./-][0-9]{1,2}[ ./-](?:19|20)[0-9]{2}"
)


def phone_numbers(text: str) -> Iterator[Span]:
    """In the three ways above."""
    for match in overlapping(_INTERNATIONAL, text):
        end = _end_of_international(match)
        if end is not None:
            yield match.start(), end
    for match in overlapping(_AMERICAN, text):
        if _is_american(match[0]):
            yield match.span()
    for match in overlapping(_EUROPEAN, text):
        yield match.span()
    if _SAID.anywhere(text):
        for match in overlapping(_BARE, text):
            if _ends(match) and _DATE.match(match[0]) is None and _SAID.before(text, match.start()):
                yield match.span()


def _end_of_international(match: re.Match[str]) -> int | None:
    """Where a number of the right length for its country ends, before a gap or the end of the digits."""
    text, start = match.string, match.start()
    places = [place for place in range(start, match.end()) if text[place].isdigit()]
    if text[start] == "0":
        places = places[2:]
    digits = "".join(text[place] for place in places)
    code = next((digits[:length] for length in (1, 2, 3) if digits[:length] in _CODES), None)
    if code is None:
        return None
    least, most = _NATIONAL_DIGITS.get(code, _ANY_NATIONAL)
    # An area code's zero is written along: +44 (0)20 …
    most += "(0)" in match[0]
    for count in range(min(most + len(code), len(places)), least + len(code) - 1, -1):
        end = places[count - 1] + 1
        if end >= len(text) or not (text[end].isascii() and text[end].isalnum()):
            return end
    return None


def _is_american(written: str) -> bool:
    digits = re.sub("[^0-9]", "", written)
    if len(digits) == 11 and digits[0] == "1":
        digits = digits[1:]
    # Area codes and exchanges do not begin with 0 or 1, and x11 are services.
    return len(digits) == 10 and digits[0] > "1" and digits[1:3] != "11" and digits[4:6] != "11"


def _ends(match: re.Match[str]) -> bool:
    """Whether the digits end here, and are as many as a number has: 7 to 12."""
    after = match.string[match.end() : match.end() + 2]
    return 7 <= sum(map(str.isdigit, match[0])) <= 12 and not (
        len(after) == 2 and after[0] in ".,-/" and after[1].isdigit()
    )


PHONE_NUMBER = Recogniser("PHONE_NUMBER", 40, SIX_DIGITS, phone_numbers)
