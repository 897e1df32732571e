"""Words and phrases that must not occur. Matched as whole words, without regard to case, width, unseen characters or lookalike letters.

What it does not see through: letters spelled apart, digits for letters, misspellings.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from headgate.guardrails.folding import canonical

_JOINED_SCRIPTS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7af\U00020000-\U0003ffff"
)
"""Scripts that put no space between words: there a keyword is found anywhere."""
_WORD = re.compile(rf"[^\W_{_JOINED_SCRIPTS}]+")
_FEW = 64
_JOINED = re.compile(f"[{_JOINED_SCRIPTS}]")


class Keywords:
    """A list of keywords, made once per configuration. Costs one look-up per word of the text, however many there are."""

    def __init__(self, keywords: Sequence[str]) -> None:
        self._by_first_word: dict[str, list[tuple[str, int, str]]] = {}
        self._anywhere: list[tuple[str, str]] = []
        self._few: list[str] = []
        """All of them, when there are so few that looking for each is quicker than looking at each word."""
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

        if len(keywords) <= _FEW:
            self._few = [folded for folded in map(canonical, keywords) if folded]

    def __bool__(self) -> bool:
        return bool(self._by_first_word or self._anywhere)

    def found(self, text: str, *, complete: bool = True) -> str | None:
        """The first keyword in it, as configured; None: none. Not `complete`: what touches the end may be the beginning of another word."""
        folded = canonical(text)
        if self._few and not any(map(folded.__contains__, self._few)):
            return None
        end_is_open = not complete and bool(text) and not text[-1].isspace()
        for folded_keyword, keyword in self._anywhere:
            if folded_keyword in folded:
                return keyword
        for word in _WORD.finditer(folded):
            for folded_keyword, lead, keyword in self._by_first_word.get(word[0], ()):
                end = word.start() - lead + len(folded_keyword)
                if folded.startswith(folded_keyword, max(0, word.start() - lead)) and _ends_word(
                    folded, end, end_is_open
                ):
                    return keyword
        return None


def _ends_word(text: str, end: int, end_is_open: bool) -> bool:
    if end >= len(text):
        return not end_is_open
    return _WORD.match(text, end) is None or _WORD.match(text, end - 1) is None
