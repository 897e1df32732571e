"""Records of requests as the gateway would make them, and what a warehouse needs around it in tests."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from headgate.clock import SystemClock
from headgate.domain.request_record import Attempt, InferenceTable, RequestRecord, Verdict
from headgate.domain.usage import Usage
from headgate.settings import WarehouseSettings
from headgate.telemetry.counting import Metrics
from headgate.warehouse import loading, prices
from headgate.warehouse.spool.segments import Inbox
from headgate.warehouse.spool.writing import Spool
from headgate.warehouse.tables import delta, places, rows
from headgate.warehouse.tables.places import Places, TableName

TABLE = InferenceTable("main", "default", "churn")
PAYLOAD = TableName("main", "default", "churn_payload")
AT_MS = 1_750_000_000_000
"""2025-06-15 15:06:40 UTC."""


def record(request_id: str, **more: Any) -> RequestRecord:
    """A chat with a vendor, answered."""
    usual: dict[str, Any] = {
        "request_id": request_id,
        "endpoint_id": "e1",
        "endpoint_name": "chat",
        "at_ms": AT_MS,
        "status": 200,
        "duration_ms": 12,
        "served_entity_id": "s1",
        "served_entity_name": "gpt",
        "entity_name": "gpt-4o-mini",
        "provider": "openai",
        "model": "gpt-4o-mini-2024-07-18",
        "task": "llm/v1/chat",
        "api": "chat/completions",
        "requester": "ann@example.com",
        "request": b'{"messages":[{"role":"user","content":"hello"}]}',
        "response": b'{"choices":[{"message":{"role":"assistant","content":"hi"}}]}',
        "usage": Usage(1000, 100, cached_tokens=200),
        "attempts": (Attempt("s0", "first", 503, 3, "busy"), Attempt("s1", "gpt", 200, 9)),
        "guardrails": (Verdict("pii", "input", "masked", "EMAIL_ADDRESS", 0.5),),
        "usage_context": {"team": "blue"},
        "tags": {"cost": "42"},
        "inference_table": TABLE,
    }
    return RequestRecord(**{**usual, **more})


@dataclass
class House:
    """A spool, tables and whoever stands between them, in one folder."""

    folder: Path
    settings: WarehouseSettings = field(default_factory=lambda: WarehouseSettings(commit_s=0.05))

    def __post_init__(self) -> None:
        self.clock = SystemClock()
        self.counted = Metrics(self.folder / "metrics", "test")
        self.places = Places(str(self.folder / "tables"))

    @property
    def spool_folder(self) -> Path:
        return self.folder / "spool"

    def spool(self, **changes: Any) -> Spool:
        made = Spool(self.spool_folder, replace(self.settings, **changes), self.clock, self.counted)
        made.start()
        return made

    def tables(self) -> delta.Tables:
        return delta.Tables(self.places, self.settings)

    def loader(self, **more: Any) -> loading.Loader:
        parts = {
            "inbox": Inbox(self.spool_folder, self.clock),
            "tables": self.tables(),
            "prices": prices.load(),
            "origin": rows.Origin("account", "7"),
            "clock": self.clock,
            "counted": self.counted,
            "settings": self.settings,
        }
        return loading.Loader(loading.Parts(**{**parts, **more}))

    def put(self, *records: RequestRecord) -> None:
        """Spools them, and hands them to the loader."""
        spool = self.spool()
        for item in records:
            assert spool.put(item)
        spool.stop()

    def load(self, **more: Any) -> None:
        """One lap."""
        loader = self.loader(**more)
        assert loader.lap()
        loader.stop()

    def read(self, name: TableName) -> list[dict[str, Any]]:
        """All rows, by deltalake."""
        return read(self.places, name)

    def usage(self) -> list[dict[str, Any]]:
        return self.read(places.ENDPOINT_USAGE)


def read(where: Places, name: TableName) -> list[dict[str, Any]]:
    """All rows of a table; none when there is no table."""
    from deltalake import DeltaTable
    from deltalake.exceptions import TableNotFoundError

    try:
        table = DeltaTable(where.uri(name), storage_options=dict(where.options))
    except TableNotFoundError:
        return []
    found: list[dict[str, Any]] = table.to_pyarrow_table().to_pylist()
    return found


def until(condition: Any, deadline_s: float = 60.0) -> None:
    """Waits for it."""
    end_s = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end_s, "it did not come true in time"
        time.sleep(0.01)
