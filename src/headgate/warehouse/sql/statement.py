"""What a client asks. Pure; the server's process knows no more of SQL than this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MOST_CHARACTERS = 100_000


@dataclass(frozen=True, slots=True)
class Parameter:
    """The value of `:name`. No value: NULL."""

    name: str
    value: str | None = None
    type: str = "STRING"


@dataclass(frozen=True, slots=True)
class Statement:
    """What a client asks."""

    text: str
    parameters: Sequence[Parameter] = ()
    catalog: str = "main"
    schema: str = "default"
    """Of tables that are named without."""
