"""Scopes of secrets: what they may be called, how much they hold, what a permission on one includes. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from headgate.errors import InvalidParameterValue

READ = "READ"
WRITE = "WRITE"
MANAGE = "MANAGE"
PERMISSIONS = (READ, WRITE, MANAGE)
"""On a scope; each includes those before it."""

MOST_SCOPES = 1000
MOST_SECRETS = 1000
"""In one scope."""
MOST_BYTES = 128 * 1024
"""Of one value."""

_SCOPE = re.compile(r"[A-Za-z0-9@_.-]{1,128}")
_KEY = re.compile(r"[A-Za-z0-9_.-]{1,128}")


@dataclass(frozen=True, slots=True)
class Scope:
    """A named collection of secrets."""

    id: str
    """32 hex digits, never used again: what its secrets are sealed for and its grants are on."""
    name: str
    """As it was created; unique, whatever its case."""
    created_at_ms: int


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret, without its value."""

    key: str
    updated_at_ms: int
    version: str
    """Another one after every put."""


def folded(name: str) -> str:
    """What two names of a scope have in common when they are one name."""
    return name.lower()


def is_scope_name(name: str) -> bool:
    """Whether there may be a scope of that name."""
    return _SCOPE.fullmatch(name) is not None


def is_key(name: str) -> bool:
    """Whether there may be a secret of that name."""
    return _KEY.fullmatch(name) is not None


def check_scope_name(name: str) -> None:
    """Raises InvalidParameterValue."""
    if not is_scope_name(name):
        raise InvalidParameterValue(
            f"{name[:200]!r} is not a valid scope name: use 1 to 128 letters, digits, dashes, underscores, @ and periods."
        )


def check_key(name: str) -> None:
    """Raises InvalidParameterValue."""
    if not is_key(name):
        raise InvalidParameterValue(
            f"{name[:200]!r} is not a valid secret key: use 1 to 128 letters, digits, dashes, underscores and periods."
        )


def check_value(value: bytes) -> None:
    """Raises InvalidParameterValue."""
    if len(value) > MOST_BYTES:
        raise InvalidParameterValue(f"The secret has {len(value)} bytes; at most {MOST_BYTES} (128 KB) are allowed.")


def check_permission(permission: str) -> None:
    """Raises InvalidParameterValue."""
    if permission not in PERMISSIONS:
        raise InvalidParameterValue(f"permission {permission[:100]!r} is unknown; use one of {', '.join(PERMISSIONS)}.")


def includes(permission: str, wanted: str) -> bool:
    """Whether somebody with `permission` may do what takes `wanted`."""
    return PERMISSIONS.index(permission) >= PERMISSIONS.index(wanted)


def most(permissions: Iterable[str]) -> str | None:
    """The highest of them; None when there is none."""
    return max(permissions, key=PERMISSIONS.index, default=None)
