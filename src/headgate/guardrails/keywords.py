"""Words and phrases that must not occur. Matched as whole words, without regard to case, width, unseen characters or lookalike letters.

What it does not see through: letters spelled apart, digits for letters, misspellings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from headgate.guardrails.folding import JOINED_SCRIPTS, WINDOW, canonical

_IN_WORD = re.compile(rf"[^\W_{JOINED_SCRIPTS}]")
_WORD = re.compile(f"{_IN_WORD.pattern}+")
_FEW = 64
_JOINED = re.compile(f"[{JOINED_SCRIPTS}]")
"""Where words are joined, a keyword is found anywhere."""


class Keywords:
    """A list of keywords, made once per configuration. Costs one look-up per word of the text, however many there are."""

    def __init__(self, keywords: Sequence[str], window: int = WINDOW) -> None:
        """`window`: characters of a text looked at in one go; what is found does not depend on it."""
        self._window = window
        self._by_first_word: dict[str, list[tuple[str, int, str]]] = {}
        self._anywhere: list[tuple[str, str]] = []
        self._few: list[str] = []
        """All of them, when there are so few that looking for each is quicker than looking at each word."""
        self._longest_word = 0
        """Characters of the longest first word."""
        self.longest = max(map(len, keywords), default=0)
        """Characters of the longest one."""
        for keyword in keywords:
            folded = canonical(keyword)
            first = _WORD.search(folded)
            if not folded:
                continue
            if first is None or _JOINED.search(folded):
                self._anywhere.append((folded, keyword))
            else:
                self._by_first_word.setdefault(first[0], []).append((folded, first.start(), keyword))
                self._longest_word = max(self._longest_word, len(first[0]))

        if len(keywords) <= _FEW:
            self._few = [folded for folded in map(canonical, keywords) if folded]

    def __bool__(self) -> bool:
        return bool(self._by_first_word or self._anywhere)

    def found(self, text: str, *, complete: bool = True) -> str | None:
        """The first keyword in it, as configured; None: none. Not `complete`: what touches the end may be the beginning of another word."""
        folded = canonical(text, self._window)
        if self._few and not any(self._has(folded, keyword) for keyword in self._few):
            return None
        end_is_open = not complete and bool(text) and not text[-1].isspace()
        for folded_keyword, keyword in self._anywhere:
            if self._has(folded, folded_keyword):
                return keyword
        for word in self._words(folded):
            for folded_keyword, lead, keyword in self._by_first_word.get(word[0], ()):
                end = word.start() - lead + len(folded_keyword)
                if folded.startswith(folded_keyword, max(0, word.start() - lead)) and _ends_word(
                    folded, end, end_is_open
                ):
                    return keyword
        return None

    def _has(self, folded: str, keyword: str) -> bool:
        if len(folded) <= self._window:
            return keyword in folded
        return any(
            folded.find(keyword, start, start + self._window + len(keyword)) >= 0
            for start in range(0, len(folded), self._window)
        )

    def _words(self, folded: str) -> Iterator[re.Match[str]]:
        """In order. One that is longer than any keyword's may be given without its end."""
        for start in range(0, len(folded), self._window):
            end = start + self._window
            cut = start > 0 and _IN_WORD.match(folded, start - 1) is not None
            for word in _WORD.finditer(folded, start, end + self._longest_word + 1):
                if word.start() >= end:
                    break
                if not (cut and word.start() == start):
                    yield word


def _ends_word(text: str, end: int, end_is_open: bool) -> bool:
    if end >= len(text):
        return not end_is_open
    return _IN_WORD.match(text, end) is None or _IN_WORD.match(text, end - 1) is None
