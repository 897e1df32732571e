"""Whether what the tables need is installed. Asked where tables are configured and where their loader is started; imports nothing of it."""

from __future__ import annotations

import functools
import importlib.util

NEEDED = ("deltalake", "pyarrow", "duckdb", "sqlglot")


@functools.cache
def missing() -> str | None:
    """Why there can be no inference and usage tables, and what to do about it; None: there can."""
    absent = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if not absent:
        return None
    advice = "install them where the server runs with pip install 'headgate[warehouse]' (in a clone '.[warehouse]')"
    return f"Inference and usage tables need {', '.join(absent)}: {advice}, and start the server again."
