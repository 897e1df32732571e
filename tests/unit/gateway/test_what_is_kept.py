"""Which refusals become records."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from headgate import errors
from headgate.clock import SystemClock
from headgate.domain.request_record import Attempt
from headgate.gateway.call import Call, Head
from headgate.gateway.records.keeper import Records
from headgate.settings import WarehouseSettings
from headgate.telemetry.counting import Metrics
from headgate.warehouse.spool import frames, segments
from headgate.warehouse.spool.writing import Spool


@pytest.mark.parametrize("attempts", [(), (Attempt("s1", "gpt", 404),)], ids=["of ours", "of a vendor"])
def test_a_404_is_kept_if_a_vendor_was_asked(tmp_path: Path, attempts: tuple[Attempt, ...]) -> None:
    spool = Spool(segments.folder(tmp_path), WarehouseSettings(), SystemClock(), Metrics(tmp_path / "metrics", "spool"))
    spool.start()
    keeper = Records(spool, SystemClock(), 1000)
    call = Call(Head("POST", "/", "chat", None, {}, None, b""), b"{}", 2, 0.0, 10.0, kept=True, attempts=attempts)

    async def live() -> None:
        await keeper.refused(call, errors.NotFound("The vendor has no such model."))

    asyncio.run(live())
    keeper.close()
    kept = [record for path in segments.folder(tmp_path).glob("*.*") for record in frames.decoded(path.read_bytes())]
    assert [record.status for record in kept] == [404] * len(attempts)
