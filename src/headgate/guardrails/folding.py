"""Texts as a reader sees them: characters that look alike made alike, those nobody sees taken out. Asked by the recognisers and the keywords.

Two foldings. `plain` changes characters one for one (other scripts' digits, wide letters, dashes, spaces) and knows where each came from, so
that what is found can be masked in the original. `canonical` goes further (NFKC, case, letters of another script inside a word) and is only
compared. Both do a window at a time, and what comes out does not depend on where the windows lie: one call on megabytes would hold the
interpreter's lock, and every other request, for as long as it takes.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections.abc import Iterator, Sequence
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
JOINED_SCRIPTS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7af\U00020000-\U0003ffff"
)
"""Scripts that put no space between words: a class of `re`."""
_LETTER = rf"[^\W\d_{JOINED_SCRIPTS}]"
_LONGEST_WORD = 256
_WORD = re.compile(rf"{_LETTER}(?<!{_LETTER}.){_LETTER}{{0,{_LONGEST_WORD - 1}}}(?!{_LETTER})")
_LATIN = re.compile("[a-z]")

_LOOKALIKES = str.maketrans(
    "асеіјорѕухһԁԛԝкмтвнгьαβεικνορτυχγωϲ",
    "aceijopsyxhdqwkmtbhrbabeikvoptuxywc",
)
"""Lower-case Cyrillic and Greek letters that are drawn like Latin ones."""
_LOOKALIKE = re.compile(f"[{''.join(map(chr, _LOOKALIKES))}]")

WINDOW = 16 * 1024
"""Characters looked at in one go: some milliseconds at the very most."""
_NOTHING_FROM = 0x20000
"""Beyond are ideographs, tags and what is nobody's: no digits, and nothing that joins."""
_RARE = re.compile("[\U00010000-\U0001efff]")
_MOST_JOINING = 30
"""Marks in a row, as in Unicode's stream-safe text; more are nobody's writing, and sorting them takes quadratic time."""


@dataclass(frozen=True, slots=True)
class Plain:
    """A text one for one, and for each of its characters the place in the original; None: the same places."""

    text: str
    origin: Sequence[int] | None = None

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Places in the original of what lies between these places here."""
        if self.origin is None:
            return start, end
        return self.origin[start], self.origin[end - 1] + 1


def plain(text: str, window: int = WINDOW) -> Plain:
    """Digits of any script, wide forms, dashes and spaces as ASCII; unseen characters gone."""
    if text.isascii():
        return Plain(text)
    table = _plain_table()
    text = "".join(piece.translate(table) for piece in _pieces(text, window))
    if not any(UNSEEN.search(piece) for piece in _pieces(text, window)):
        return Plain(text)
    origin = array("l", (place for place, character in enumerate(text) if UNSEEN.match(character) is None))
    return Plain("".join(UNSEEN.sub("", piece) for piece in _pieces(text, window)), origin)


@lru_cache(maxsize=1)
def _plain_table() -> dict[int, str]:
    table = {code: str(unicodedata.decimal(chr(code))) for code in range(128, _NOTHING_FROM) if chr(code).isdecimal()}
    table |= {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
    table |= dict.fromkeys(map(ord, _DASHES), "-")
    table |= dict.fromkeys(map(ord, _SPACES), " ")
    table[0x3002] = "."
    return table


def canonical(text: str, window: int = WINDOW) -> str:
    """For comparing: case, compatibility forms, unseen characters, struck-through letters, lookalikes and the width of gaps do not count."""
    if text.isascii():
        text = "".join(piece.casefold() for piece in _pieces(text, window))
    else:
        text = "".join(UNSEEN.sub("", piece) for piece in _pieces(text, window))
        text = "".join(map(_folded, _independent(_bounded(text, window), window)))
        text = _one_script(text, window)
    return _narrowed(text, window)


def _pieces(text: str, window: int) -> Iterator[str]:
    return (text[at : at + window] for at in range(0, len(text), window))


def _bounded(text: str, window: int) -> str:
    """Without what comes after so many in a row of marks and other characters that join the one before."""
    _, common, rare = _joining()
    pieces = []
    for at in range(0, len(text), window):
        low = max(0, at - _MOST_JOINING)
        piece = text[low : at + window]
        many = common if _RARE.search(piece) is None else rare
        pieces.append(many.sub("", piece)[at - low :])
    return "".join(pieces)


def _independent(text: str, window: int) -> Iterator[str]:
    """Pieces that begin with no character that joins the one before: each normalizes as it does among the others."""
    joins = _joining()[0]
    start = 0
    while start < len(text):
        end = start + window
        while end < len(text) and joins.match(text, end):
            end += 1
        yield text[start:end]
        start = end


def _folded(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).casefold()
    # Marks that make a letter of its own (é, й) are one with it by now; those left over are decoration.
    return _STRUCK.sub("", unicodedata.normalize("NFC", text))


@lru_cache(maxsize=1)
def _joining() -> tuple[re.Pattern[str], ...]:
    """A character that normalizing may move before, or join with, the one that stands before it; too many of them, quickly where none is RARE;
    and too many of any."""
    joining = [chr(code) for code in range(0x1161, 0x11C3)]  # of Korean syllables
    for character in map(chr, range(0x300, _NOTHING_FROM)):
        decomposition = unicodedata.decomposition(character)
        if unicodedata.combining(character):
            joining.append(character)
        elif decomposition:
            first, *more = tuple(unicodedata.normalize("NFKD", character))
            joining += character if unicodedata.combining(first) else more if decomposition[0] != "<" else ""
    common = "".join(sorted(character for character in set(joining) if character < "\U00010000"))
    every = common + "".join(sorted(character for character in set(joining) if character >= "\U00010000"))
    return re.compile(f"[{every}]"), _too_many(common), _too_many(every)


def _too_many(ones: str) -> re.Pattern[str]:
    return re.compile(f"[{ones}](?<=[{ones}]{{{_MOST_JOINING + 1}}})[{ones}]*")


def _one_script(text: str, window: int) -> str:
    """Lookalikes made Latin in words that mix scripts, and only there: a Russian word that looks like an English one is not that word."""
    pieces = []
    done = 0
    for start in range(0, len(text), window):
        end = start + window
        if not all(pattern.search(text, start, end + _LONGEST_WORD) for pattern in (_LOOKALIKE, _LATIN)):
            continue
        # A word belongs to the window it begins in; one character more shows whether it ends.
        for word in _WORD.finditer(text, start, end + _LONGEST_WORD + 1):
            if word.start() >= end:
                break
            letters = word[0]
            if not letters.isascii() and _LATIN.search(letters):
                pieces += [text[done : word.start()], letters.translate(_LOOKALIKES)]
                done = word.end()
    return "".join([*pieces, text[done:]])


def _narrowed(text: str, window: int) -> str:
    """Each gap one space, none at the ends."""
    pieces: list[str] = []
    gap = False
    for piece in _pieces(text, window):
        words = " ".join(piece.split())
        if words:
            if pieces and (gap or piece[0].isspace()):
                pieces.append(" ")
            pieces.append(words)
            gap = piece[-1].isspace()
        else:
            gap = True
    return "".join(pieces)
