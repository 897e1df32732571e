"""SCIM filters (`userName eq "a" and active eq true`) over resources in their wire form. Pure; bounded in length and depth."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from headgate import errors

MAX_CHARACTERS = 4096
_MAX_DEPTH = 20

Predicate = Callable[[Mapping[str, Any]], bool]

_WORDS = re.compile(r"""\s*(?:([()])|"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([^\s()"']+))""")
_ESCAPED = re.compile(r"\\(.)")

_COMPARISONS: Mapping[str, Callable[[str, str], bool]] = {
    "eq": lambda have, wanted: have == wanted,
    "ne": lambda have, wanted: have != wanted,
    "co": lambda have, wanted: wanted in have,
    "sw": lambda have, wanted: have.startswith(wanted),
    "ew": lambda have, wanted: have.endswith(wanted),
}


def parse(text: str) -> Predicate:
    """Whether a resource matches. Strings are compared whatever their case. Raises InvalidParameterValue."""
    if len(text) > MAX_CHARACTERS:
        raise errors.InvalidParameterValue(f"A filter may have {MAX_CHARACTERS} characters, this one has {len(text)}.")
    return _Parser(text).whole()


def values(resource: Any, path: str) -> list[Any]:
    """What lies at a dotted path, whatever the case of its names; of a list of objects without more path, their values."""
    found = [resource]
    for name in path.lower().split("."):
        found = [
            inner
            for one in found
            if isinstance(one, Mapping)
            for key, inner in one.items()
            if key.lower() == name
            for inner in (inner if isinstance(inner, list) else [inner])
        ]
    return [one.get("value") if isinstance(one, Mapping) else one for one in found]


class _Parser:
    """Reads one filter: `or` of `and` of comparisons, `not`, parentheses."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._words = _split(text)
        self._at = 0

    def whole(self) -> Predicate:
        found = self._either(0)
        if self._at < len(self._words):
            raise self._wrong(f"what comes from {self._words[self._at][1]!r} on was not expected")
        return found

    def _either(self, depth: int) -> Predicate:
        if depth > _MAX_DEPTH:
            raise self._wrong("it is nested too deeply")
        parts = [self._both(depth)]
        while self._next_is("or"):
            parts.append(self._both(depth))
        return parts[0] if len(parts) == 1 else lambda resource: any(part(resource) for part in parts)

    def _both(self, depth: int) -> Predicate:
        parts = [self._one(depth)]
        while self._next_is("and"):
            parts.append(self._one(depth))
        return parts[0] if len(parts) == 1 else lambda resource: all(part(resource) for part in parts)

    def _one(self, depth: int) -> Predicate:
        if self._next_is("not"):
            inner = self._one(depth + 1) if depth <= _MAX_DEPTH else self._either(depth)
            return lambda resource: not inner(resource)
        if self._next_is("("):
            inner = self._either(depth + 1)
            if not self._next_is(")"):
                raise self._wrong("a parenthesis is not closed")
            return inner
        path, operator = self._take("an attribute").lower(), self._take("an operator").lower()
        if operator == "pr":
            return lambda resource: any(one not in (None, "", False) for one in values(resource, path))
        compare = _COMPARISONS.get(operator)
        if compare is None:
            raise self._wrong(f"{operator} is no operator; there are {', '.join(_COMPARISONS)} and pr")
        wanted = self._take("a value", quoted=True).casefold()
        if operator == "ne":
            return lambda resource: all(_text(one) != wanted for one in values(resource, path))
        return lambda resource: any(compare(_text(one), wanted) for one in values(resource, path))

    def _next_is(self, word: str) -> bool:
        if self._at >= len(self._words):
            return False
        is_quoted, found = self._words[self._at]
        if is_quoted or found.lower() != word:
            return False
        self._at += 1
        return True

    def _take(self, what: str, quoted: bool = False) -> str:
        if self._at >= len(self._words):
            raise self._wrong(f"{what} is missing at its end")
        is_quoted, word = self._words[self._at]
        if (is_quoted and not quoted) or (not is_quoted and word in "()"):
            raise self._wrong(f"{what} was expected instead of {word!r}")
        self._at += 1
        return word

    def _wrong(self, why: str) -> errors.InvalidParameterValue:
        return errors.InvalidParameterValue(f"The filter {self._text!r} cannot be understood: {why}.")


def _split(text: str) -> list[tuple[bool, str]]:
    """(was quoted, word)."""
    words, at = [], 0
    while text[at:].strip():
        found = _WORDS.match(text, at)
        if found is None:
            raise errors.InvalidParameterValue(
                f"The filter {text!r} cannot be understood: a quotation mark is not closed."
            )
        quoted = next((group for group in found.group(2, 3) if group is not None), None)
        if quoted is not None:
            words.append((True, _ESCAPED.sub(r"\1", quoted)))
        else:
            words.append((False, found.group(1) or found.group(4)))
        at = found.end()
    return words


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).casefold()
