"""What recognisers are made of: places in a text, the words before one, and the form all of them have.

Every recogniser looks at a bounded stretch: nothing it finds is longer than LONGEST (SPACED, when there are gaps in it), and nothing farther
away than REACH changes that: the words before it (CONTEXT), what it is part of, one character after it. Linear time follows from this, and so
do streams, where what lies farther back is decided, and windows over long texts. Patterns begin with the character they look for, because `re` skips to that one quickly; what must not stand before it is checked
after it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

LONGEST = 320
"""Characters of an entity without gaps."""
SPACED = 80
"""Characters of one with spaces in it; the word it begins with has a digit, `+` or `(`."""
CONTEXT = 64
"""Characters before an entity that are searched for words that tell what it is."""

REACH = 512
"""Characters around the beginning of an entity that decide on it."""

Span = tuple[int, int]
Find = Callable[[str], Iterator[Span]]

_GLUED = re.compile(r"[0-9A-Za-z_]")


@dataclass(frozen=True, slots=True)
class Recogniser:
    """One kind of entity. `trigger`: a text in which this is not found has none of it."""

    label: str
    rank: int
    trigger: re.Pattern[str]
    find: Find


SIX_DIGITS = re.compile(r"[0-9](?:[^0-9]{0,3}[0-9]){5}")
LETTERS_AND_DIGITS = re.compile(r"[0-9](?<=[A-Za-z][0-9])|[0-9](?<=[A-Z] [0-9])")
DOTS_AND_COLONS = re.compile(r"[.:-](?=[0-9A-Fa-f]{0,4}[.:-])")
ADDRESS = re.compile("@")
ANY_DIGIT = re.compile("[0-9]")


def stands_free(text: str, start: int, end: int) -> bool:
    """Whether no letter, digit or underscore touches it."""
    if start > 0 and _GLUED.match(text, start - 1):
        return False
    return end >= len(text) or _GLUED.match(text, end) is None


def overlapping(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """All matches, those that begin inside another too: where a pattern begins does not depend on where the search did."""
    at = 0
    while (found := pattern.search(text, at)) is not None:
        yield found
        at = found.start() + 1


@dataclass(frozen=True, slots=True)
class Words:
    """Beginnings of words, in lower case, that tell what follows them."""

    stems: tuple[str, ...]

    def anywhere(self, text: str) -> bool:
        """Whether it may be worth looking."""
        lowered = text.lower()
        return any(stem in lowered for stem in self.stems)

    def before(self, text: str, start: int) -> bool:
        """Whether one of them begins a word in the CONTEXT characters before this place."""
        lowered = text[max(0, start - CONTEXT) : start].lower()
        for stem in self.stems:
            at = lowered.find(stem)
            while at >= 0:
                if at == 0 or not lowered[at - 1].isalnum() or not lowered[at - 1].isascii():
                    return True
                at = lowered.find(stem, at + 1)
        return False


def words(*stems: str) -> Words:
    """The same, said shortly."""
    return Words(stems)


def patterned(
    pattern: str, check: Callable[[str], bool] | None = None, *, lead: int = 0, said: Words | None = None
) -> Find:
    """Free-standing matches of text that passes the check, `said` before them.

    `lead`: characters of the entity before what the pattern consumes, so that a pattern can begin with what is rare and look back.
    """
    compiled = re.compile(pattern)

    def find(text: str) -> Iterator[Span]:
        if said is not None and not said.anywhere(text):
            return
        for match in overlapping(compiled, text):
            start, end = match.start() - lead, match.end()
            if not stands_free(text, start, end) or (check is not None and not check(text[start:end])):
                continue
            if said is None or said.before(text, start):
                yield start, end

    return find
