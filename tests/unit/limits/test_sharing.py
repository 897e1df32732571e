"""When a server counts alone, and what it knows of the others."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from tests.fakes.quotas import MemoryQuotas

from headgate import settings
from headgate.clock import SystemClock
from headgate.limits import sharing
from headgate.limits.sharing import Others, Sharing
from headgate.telemetry.counting import Metrics


@pytest.mark.parametrize(
    ("given", "possible"),
    [
        ({}, False),
        ({"workers": 2}, True),
        ({"database_url": "postgresql+psycopg://host/db"}, True),
        ({"rate_limits.redis_url": "redis://host"}, True),
    ],
)
def test_a_server_counts_alone_only_where_there_can_be_no_other(
    tmp_path: Path, given: dict[str, object], possible: bool
) -> None:
    assert sharing.are_possible(settings.load({"data_dir": tmp_path, **given}, environ={})) == possible


def test_settings_that_cannot_be_served_with_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings.load({"data_dir": tmp_path, "rate_limits.redis_url": "redis://:hush@host"}, environ={})
    assert sharing.refusal(found) is None
    monkeypatch.setattr(sharing, "find_spec", lambda name: None)
    told = sharing.refusal(found) or ""
    assert "headgate[redis]" in told and "hush" not in told
    short = settings.load({"data_dir": tmp_path, "rate_limits.lease_s": 0.5}, environ={})
    assert "lease_s" in (sharing.refusal(short) or "")


def test_servers_are_counted_and_the_last_number_stays_when_they_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "_COUNT_S", 0.001)
    counts = [5, OSError("away"), 1]

    def count() -> int:
        found = counts.pop(0) if counts else 1
        if isinstance(found, OSError):
            raise found
        return int(found)

    async def work() -> None:
        found = settings.load({"data_dir": tmp_path, "workers": 2}, environ={})
        others = Others("me", MemoryQuotas(lambda: time.time_ns() // 1_000_000).exchange, count)
        made = Sharing(found, SystemClock(), Metrics(tmp_path / "metrics", "x"), others)
        running, seen = asyncio.ensure_future(made.run()), [made._servers]
        deadline_s = time.monotonic() + 30
        while counts and time.monotonic() < deadline_s:
            await asyncio.sleep(0)
            if made._servers != seen[-1]:
                seen.append(made._servers)
        while made._servers == 5 and time.monotonic() < deadline_s:
            await asyncio.sleep(0)
        # Fewer than were started are those that have not said yet that they are there.
        assert seen[:2] == [2, 5] and made._servers == 2
        running.cancel()
        await asyncio.wait({running})
        await made.release()

    asyncio.run(work())
