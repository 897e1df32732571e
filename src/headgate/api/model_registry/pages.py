"""Pages of a search that show a caller only what it may see, and the tokens that lead from one to the next. Used by the registry's families."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from headgate import errors
from headgate.domain.registered_model import ModelVersion, RegisteredModel
from headgate.store.models import Page

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Shown(Generic[Found]):
    """One page."""

    found: Sequence[Found]
    next_token: str | None


@dataclass(frozen=True, slots=True)
class Search(Generic[Found]):
    """How to read, what to show, and how to go on after something."""

    read: Callable[[Page], Sequence[Found]]
    sees: Callable[[Found], bool]
    key: Callable[[Found], tuple[str, int]]


def shown(search: Search[Found], limit: int, token: str | None) -> Shown[Found]:
    """`limit` of what may be seen, or fewer when there are no more. Raises InvalidParameterValue for a strange token."""
    after = _read(token)
    visible: list[Found] = []
    while True:
        batch = search.read(Page(limit + 1, after))
        visible += [one for one in batch if search.sees(one)]
        if len(visible) > limit:
            return Shown(visible[:limit], _written(search.key(visible[limit - 1])))
        if len(batch) <= limit:
            return Shown(visible, None)
        after = search.key(batch[-1])


def model_key(model: RegisteredModel) -> tuple[str, int]:
    """How a search goes on after a model."""
    return model.name.full, 0


def version_key(version: ModelVersion) -> tuple[str, int]:
    """How a search goes on after a version."""
    return version.name.full, version.version


def _written(key: tuple[str, int]) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


def _read(token: str | None) -> tuple[str, int] | None:
    if not token:
        return None
    try:
        name, version = json.loads(base64.urlsafe_b64decode(token))
        if not isinstance(name, str) or not isinstance(version, int) or abs(version) > 2**31 - 1:
            raise ValueError
        name.encode()
    except (ValueError, TypeError, binascii.Error, RecursionError) as error:
        raise errors.InvalidParameterValue(
            "Invalid page_token: send the one of the previous page, unchanged."
        ) from error
    return name, version
