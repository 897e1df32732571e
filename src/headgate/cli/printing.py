"""What commands print: results to stdout (JSON, or text made for people), everything else to stderr."""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any


class Format(str, enum.Enum):
    """How results are printed."""

    json = "json"
    text = "text"


def print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table without frames, as wide as its content when nobody is watching its width."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(width=None if sys.stdout.isatty() else 10_000).print(table)


def print_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Names and values, aligned; empty values are left out."""
    shown = [(name, value) for name, value in pairs if value]
    width = max(len(name) for name, _ in shown)
    for name, value in shown:
        sys.stdout.write(f"{name:<{width}}  {value}\n")


def note(text: str) -> None:
    """A line for the person, never part of the result."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
