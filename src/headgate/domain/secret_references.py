"""References to secrets, `{{secrets/<scope>/<key>}}`, inside texts and nested configs: found, checked, replaced. Pure.

Asked by the API when a config is written, by control right before a replica starts, and by whoever calls an external model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from headgate.errors import InvalidParameterValue

SYNTAX = "{{secrets/<scope>/<key>}}"

_ANY = re.compile(r"\{\{\s*secrets\s*/.*?(?:\}\}|\Z)", re.DOTALL)
_ONE = re.compile(r"\{\{\s*secrets/([A-Za-z0-9@_.-]{1,128})/([A-Za-z0-9_.-]{1,128})\s*\}\}")


@dataclass(frozen=True, slots=True, order=True)
class SecretReference:
    """Which secret is meant."""

    scope: str
    key: str

    def __str__(self) -> str:
        return f"{{{{secrets/{self.scope}/{self.key}}}}}"


def within(value: Any) -> list[SecretReference]:
    """Those in a text, or in the texts of nested dicts and lists: each once, in order. Raises InvalidParameterValue for one that is malformed."""
    return list(dict.fromkeys(reference for text in _texts(value) for reference in _in_text(text)))


def resolved(value: Any, open_secret: Callable[[SecretReference], str]) -> Any:
    """The same with every reference replaced by what `open_secret` says; dict keys are left alone. What that raises is passed on."""
    if isinstance(value, str):
        return _ONE.sub(lambda found: open_secret(SecretReference(found[1], found[2])), value)
    if isinstance(value, Mapping):
        return {key: resolved(inner, open_secret) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [resolved(inner, open_secret) for inner in value]
    return value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)


def _in_text(text: str) -> Iterator[SecretReference]:
    for found in _ANY.finditer(text):
        one = _ONE.fullmatch(found[0])
        if one is None:
            # What follows one that is not closed may be a secret itself.
            shown = found[0][:300] if found[0].endswith("}}") else found[0].partition("/")[0] + "/…"
            raise InvalidParameterValue(
                f"{shown!r} is not a reference to a secret: write {SYNTAX}. "
                "Names of scopes and keys have 1 to 128 letters, digits, dashes, underscores and periods (scopes also @)."
            )
        yield SecretReference(one[1], one[2])
