"""One module per vendor, each with `ROWS: list[Row]`: found by being here."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.vendor.scene import Dialect

from headgate.providers.port import Credential, Provider, Target


@dataclass(frozen=True)
class Row:
    """A vendor under test. `target` by task; `extra`: a parameter of its own, for `extra_params`."""

    name: str
    provider: Provider
    dialect: Dialect
    target: Callable[[str], Target]
    credential: Credential | None = None
    extra: Mapping[str, Any] = field(default_factory=lambda: {"service_tier": "flex"})
    shows_reasoning: bool = True
    """Whether what the model thought is in its answers (OpenAI's chat tells its length only)."""
    tells: frozenset[str] = frozenset({"cached_tokens", "cache_creation_tokens", "reasoning_tokens"})
    """Which parts of usage the vendor says."""
    keeps_call_ids: bool = True
    """Whether tool calls have ids of the vendor's; without, we make some."""
    unsayable: frozenset[str] = frozenset()
    """Cases whose scene this vendor has no words for."""
    secrets: tuple[str, ...] = ("sk-secret",)
    """What is in the target's config and may show nowhere."""

    def streams(self, body: Mapping[str, Any]) -> bool:
        """Whether the vendor can stream the answer to this."""
        able = self.provider.capabilities
        return able.streaming and (able.streamed_n or body.get("n", 1) == 1)


def rows() -> list[Row]:
    """Those of all modules here."""
    found: list[Row] = []
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        found += importlib.import_module(f"{__name__}.{module.name}").ROWS
    return found
