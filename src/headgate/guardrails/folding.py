"""Texts as a reader sees them: characters that look alike made alike, those nobody sees taken out. Asked by the recognisers and the keywords.

Two foldings. `plain` changes characters one for one (other scripts' digits, wide letters, dashes, spaces) and knows where each came from, so
that what is found can be masked in the original. `canonical` goes further (NFKC, case, letters of another script inside a word) and is only
compared.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0000-\U000e0fff]"
)
"""Zero-width characters, soft hyphens, directions, variation selectors, tags."""

_STRUCK = re.compile("[\u0300-\u036f\u0488\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]")
"""Marks put over Latin, Cyrillic and Greek letters."""
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\ufe58\ufe63\uff0d"
_SPACES = "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_WORD = re.compile(r"[^\W\d_]+")
_LATIN = re.compile("[a-z]")

_LOOKALIKES = str.maketrans(
    "асеіјорѕухһԁԛԝкмтвнгьαβεικνορτυχγωϲ",
    "aceijopsyxhdqwkmtbhrbabeikvoptuxywc",
)
"""Lower-case Cyrillic and Greek letters that are drawn like Latin ones."""


@dataclass(frozen=True, slots=True)
class Plain:
    """A text one for one, and for each of its characters the place in the original; None: the same places."""

    text: str
    origin: list[int] | None = None

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Places in the original of what lies between these places here."""
        if self.origin is None:
            return start, end
        return self.origin[start], self.origin[end - 1] + 1


def plain(text: str) -> Plain:
    """Digits of any script, wide forms, dashes and spaces as ASCII; unseen characters gone."""
    if text.isascii():
        return Plain(text)
    text = text.translate(_plain_table())
    if UNSEEN.search(text) is None:
        return Plain(text)
    origin = [place for place, character in enumerate(text) if UNSEEN.match(character) is None]
    return Plain("".join(text[place] for place in origin), origin)


@lru_cache(maxsize=1)
def _plain_table() -> dict[int, str]:
    table = {code: str(unicodedata.decimal(chr(code))) for code in range(128, sys.maxunicode) if chr(code).isdecimal()}
    table |= {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
    table |= dict.fromkeys(map(ord, _DASHES), "-")
    table |= dict.fromkeys(map(ord, _SPACES), " ")
    table[0x3002] = "."
    return table


def canonical(text: str) -> str:
    """For comparing: case, compatibility forms, unseen characters, struck-through letters, lookalikes and the width of gaps do not count."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", UNSEEN.sub("", text))
    text = text.casefold()
    if not text.isascii():
        # Marks that make a letter of its own (é, й) are one with it by now; those left over are decoration.
        text = _STRUCK.sub("", unicodedata.normalize("NFC", text))
        text = _WORD.sub(_one_script, text)
    return " ".join(text.split()) if text else text


def _one_script(word: re.Match[str]) -> str:
    """Only words that mix scripts: a Russian word that looks like an English one is not that word."""
    letters = word[0]
    if letters.isascii() or _LATIN.search(letters) is None:
        return letters
    return letters.translate(_LOOKALIKES)
