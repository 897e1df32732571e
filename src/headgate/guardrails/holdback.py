"""One text that comes in pieces: what is checked leaves, what could still become something else stays.

In prose that is the word being written. From a word with a digit, `+` or `(` on, with which something written with gaps may begin, up to
SPACED characters stay; of a word without an end, LONGEST; with keywords, the length of the longest. What leaves is, for any cut into
pieces, what the finder would have made of the whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from headgate.guardrails.folding import UNSEEN
from headgate.guardrails.keywords import Keywords
from headgate.guardrails.pii.findings import Finder, Finding, masked
from headgate.guardrails.pii.spans import LONGEST, SPACED
from headgate.guardrails.texts import rewritten

_BREAK = re.compile("[\\s\u3000-\u303f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
"""What no entity without gaps contains."""
_MAY_BEGIN = re.compile("[\\d+(\uff0b\uff08]")
_TWO_CAPITALS = re.compile(r"(?<![0-9A-Za-z_])[A-Z]{2}\s\Z")
_BEFORE = 256


@dataclass(frozen=True, slots=True)
class Checks:
    """What a text is checked for. `finder` None: not for personal data. `mask`: findings are replaced; otherwise one ends the text."""

    finder: Finder | None = None
    mask: bool = False
    keywords: Keywords | None = None
    records_only: bool = False
    """Nothing ends the text."""


class Window:
    """`labels`: found so far. `keyword`: the one that ended the text. `blocked`: it was ended, nothing more leaves."""

    def __init__(self, checks: Checks) -> None:
        self.labels: dict[str, None] = {}
        self.keyword: str | None = None
        self.blocked = False
        self._checks = checks
        self._before = ""
        self._held = ""

    @property
    def holds(self) -> bool:
        """Whether something of the text has not left."""
        return bool(self._held)

    def feed(self, text: str) -> str:
        """What may leave now. What the finder raises goes through; then `unchecked` has the rest."""
        self._held += text
        at = len(self._held) if self._checks.finder is None else undecided(self._held)
        if self._checks.keywords:
            room = (self._checks.keywords.longest + 1) * (1 if self._held.isascii() else 4)
            at = max(0, min(at, len(self._held) - room))
        return self._released(at, complete=False)

    def end(self) -> str:
        """The text is over: the rest of it."""
        return self._released(len(self._held), complete=True)

    def unchecked(self) -> str:
        """The rest as it came."""
        rest, self._held = self._held, ""
        return rest

    def _released(self, at: int, complete: bool) -> str:
        if self.blocked:
            return ""
        everything = self._before + self._held
        keywords = self._checks.keywords
        if keywords and (keyword := keywords.found(everything, complete=complete)) is not None:
            self.keyword, self.blocked = keyword, not self._checks.records_only
            if self.blocked:
                return ""
        if at <= 0 and not complete:
            return ""
        found, at = self._decided(everything, at, complete)
        if found and not self._checks.mask:
            self.blocked = True
            return ""
        leaving, self._held = self._held[:at], self._held[at:]
        keep = max(_BEFORE, 4 * (keywords.longest if keywords else 0))
        self._before = _from_a_break((self._before + leaving)[-keep:])
        return masked(leaving, found) if found else leaving

    def _decided(self, everything: str, at: int, complete: bool) -> tuple[list[Finding], int]:
        """What is found before this place of what is held, by its places there, and the place moved to where nothing is cut in two."""
        decided: list[Finding] = []
        if self._checks.finder is None:
            return decided, at
        shift = len(self._before)
        for finding in self._checks.finder.find(everything):
            start, end = max(0, finding.start - shift), finding.end - shift
            if end <= 0:
                continue
            if start >= at:
                break
            if end > at and not complete and len(self._held) - start < 2 * LONGEST:
                at = start
                break
            at = max(at, end)
            decided.append(Finding(start, end, finding.label, finding.rank))
            self.labels[finding.label] = None
        return decided, at


def undecided(held: str) -> int:
    """Where begins what may still be part of something longer."""
    size = len(held)
    wider = 1 if held.isascii() or UNSEEN.search(held) is None else 4
    at = _word_start(held, size, max(0, size - LONGEST * wider))
    begin = max(0, size - SPACED * wider)
    numeric = _MAY_BEGIN.search(held, begin, at) if begin < at else None
    if numeric is not None:
        at = _word_start(held, numeric.start(), begin)
    if _TWO_CAPITALS.search(held, max(0, at - 4), at):
        at -= 3
    return at


def _word_start(held: str, at: int, low: int) -> int:
    while at > low and _BREAK.match(held, at - 1) is None:
        at -= 1
    return at


def _from_a_break(text: str) -> str:
    """What went before, without the word it was cut in: half a word looks like another one."""
    if len(text) < _BEFORE:
        return text
    found = _BREAK.search(text, 0, _BEFORE // 2)
    return text[found.start() :] if found else text


class TooLong(Exception):
    """More was to be held than there is room for."""


class Arguments(Window):
    """A window that holds all: for a tool's arguments, which are JSON, and of no use in pieces. Feeding it raises TooLong."""

    most_characters = 1_000_000

    def feed(self, text: str) -> str:
        """Nothing leaves before the end."""
        if len(self._held) + len(text) > self.most_characters:
            self._held += text
            raise TooLong
        self._held += text
        return ""

    def end(self) -> str:
        """Strings and numbers in it are checked one by one, so that it stays JSON."""
        held, self._held = self._held, ""
        if not self.blocked:
            held = rewritten(held, self._checked)
        return "" if self.blocked else held

    def _checked(self, text: str) -> str:
        window = Window(self._checks)
        window._held = text
        checked = window.end()
        self.labels |= window.labels
        self.blocked |= window.blocked
        self.keyword = self.keyword or window.keyword
        return checked
