"""What may be granted on what, and what a grant includes. Pure.

A *securable* is what a grant is on, a *privilege* what it allows, a *grantee* the id of a user, group or service principal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

ENDPOINT = "serving-endpoint"
SECRET_SCOPE = "secret-scope"
METASTORE = "metastore"
CATALOG = "catalog"
SCHEMA = "schema"
MODEL = "function"
"""Unity Catalog's word for a registered model."""

CAN_VIEW = "CAN_VIEW"
CAN_QUERY = "CAN_QUERY"
CAN_MANAGE = "CAN_MANAGE"
LEVELS = (CAN_VIEW, CAN_QUERY, CAN_MANAGE)
"""Of a serving endpoint; each includes those before it."""

Held = Mapping[str, frozenset[str]]
"""Grantee -> privileges."""


@dataclass(frozen=True, slots=True)
class Securable:
    """What a grant is on."""

    kind: str
    """One of the constants above."""
    id: str
    """An endpoint's 32 hex digits; a scope's id, 32 hex digits; the full name of a catalog, schema or model in lower case; empty for the metastore."""


def highest_level(held: Held, keys: frozenset[str]) -> str | None:
    """The most that any of `keys` (a caller's id and groups) has on an endpoint; None: nothing."""
    return most(level for grantee, levels in held.items() if grantee in keys for level in levels)


def includes(level: str | None, wanted: str) -> bool:
    """Whether somebody with `level` may do what takes `wanted`."""
    return level is not None and LEVELS.index(level) >= LEVELS.index(wanted)


def grantees(held: Held, wanted: str) -> frozenset[str]:
    """Who has at least `wanted` on an endpoint."""
    return frozenset(grantee for grantee, levels in held.items() if includes(most(levels), wanted))


def most(levels: Iterable[str]) -> str | None:
    """The one that includes the others; None when there is none."""
    return max(levels, key=LEVELS.index, default=None)
