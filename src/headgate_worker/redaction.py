"""Keeps the values of secrets out of what a worker says: log lines, its status, error answers. Predictions are the model's own affair.

Told once by `worker` and `zygote`, before any model code runs; asked by `logs`, `status` and whoever answers with an error.
"""

from __future__ import annotations

import json
from typing import Iterable, Set, Tuple

LEAST_CHARACTERS = 6
"""Shorter values are not looked for: they would be found in innocent text."""
MARK = "[REDACTED]"

_texts: Tuple[str, ...] = ()
_bytes: Tuple[bytes, ...] = ()


def remember(values: Iterable[str]) -> None:
    """From now on these are not said, nor the lines of one that has several."""
    global _texts, _bytes
    found: Set[str] = set()
    for value in values:
        found.update(text for text in (value, *(line.strip() for line in value.splitlines())))
    _texts = tuple(sorted((text for text in found if len(text) >= LEAST_CHARACTERS), key=len, reverse=True))
    # As they look inside JSON, too.
    inside = {
        form for text in _texts for form in (text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])
    }
    _bytes = tuple(sorted((form.encode() for form in inside), key=len, reverse=True))


def redacted(text: str) -> str:
    """The same without them."""
    for value in _texts:
        text = text.replace(value, MARK)
    return text


def redacted_bytes(body: bytes) -> bytes:
    """The same of an answer's body."""
    for value in _bytes:
        body = body.replace(value, MARK.encode())
    return body
