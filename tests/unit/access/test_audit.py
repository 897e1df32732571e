"""Writing the audit log: what is alike, what is too much, and a store that is away."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from headgate import errors
from headgate.access import audit
from headgate.access.audit import AuditLog
from headgate.clock import SystemClock
from headgate.domain.audit import BEGUN, REFUSED, AuditEvent
from headgate.telemetry import metrics
from headgate.telemetry.counting import Metrics


class Rows:
    """Stands for the repository."""

    def __init__(self) -> None:
        self.added: list[AuditEvent] = []
        self.pruned: list[int] = []
        self.has_pruned = threading.Event()
        self.away = False

    def add(self, events: Sequence[AuditEvent]) -> None:
        self._check()
        self.added += events

    def finish(self, event: AuditEvent) -> None:
        self._check()

    def prune(self, before_ms: int) -> int:
        self._check()
        self.pruned.append(before_ms)
        self.has_pruned.set()
        return 0

    def _check(self) -> None:
        if self.away:
            raise OSError("the database is away")


class Watch(SystemClock):
    """Goes as told."""

    now_s = 0.0

    def monotonic_s(self) -> float:
        return self.now_s


@pytest.fixture
def rows() -> Rows:
    return Rows()


@pytest.fixture
def counted(tmp_path: Path) -> Metrics:
    return Metrics(tmp_path, "server-0")


@pytest.fixture
def log(rows: Rows, counted: Metrics) -> AuditLog:
    return AuditLog(rows, SystemClock(), 3600.0, counted)  # type: ignore[arg-type]


def refusal(number: int, path: str = "/x") -> AuditEvent:
    return AuditEvent(f"{number:032x}", number, "GET", path, request_id=str(number), outcome=REFUSED, status_code=403)


def test_refusals_that_are_alike_become_one_row_with_their_number(log: AuditLog, rows: Rows) -> None:
    for number in range(5):
        log.note(refusal(number))
    log.note(refusal(5, "/y"))
    log.write_waiting()
    assert [(one.path, one.count, one.event_id) for one in rows.added] == [
        ("/x", 5, refusal(0).event_id),
        ("/y", 1, refusal(5).event_id),
    ]
    log.write_waiting()
    assert len(rows.added) == 2


def test_more_than_can_wait_is_dropped_and_counted(
    log: AuditLog, rows: Rows, counted: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "ROWS_AT_ONCE", 10)
    for number in range(audit.QUEUED_EVENTS + 7):
        log.note(refusal(number, f"/{number}"))
    assert counted.number(metrics.AUDIT_DROPPED).value == 7
    log.write_waiting()
    assert len(rows.added) == 10
    assert counted.number(metrics.AUDIT_DROPPED).value == 7 + audit.QUEUED_EVENTS - 10


def test_who_is_refused_again_and_again_fills_no_disk(
    rows: Rows, counted: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "ROWS_AN_HOUR", 5)
    clock = Watch()
    log = AuditLog(rows, clock, 3600.0, counted)  # type: ignore[arg-type]
    somebody = dataclasses.replace(refusal(100, "/known"), principal_id="7")
    for event in (*(refusal(number, f"/{number}") for number in range(12)), somebody):
        log.note(event)
    log.write_waiting()
    assert [one.path for one in rows.added] == ["/0", "/1", "/2", "/3", "/4", "/known"]
    clock.now_s += audit.MINUTE_S
    log.write_waiting()
    (rest,) = rows.added[6:]
    assert (rest.count, rest.path, rest.outcome, rest.status_code) == (7, "", REFUSED, 403)
    clock.now_s += audit.HOUR_S
    log.note(refusal(50, "/again"))
    log.write_waiting()
    assert rows.added[-1].path == "/again"


def test_a_change_that_cannot_be_written_down_is_refused(log: AuditLog, rows: Rows, counted: Metrics) -> None:
    rows.away = True
    with pytest.raises(errors.TemporarilyUnavailable, match="Nothing was changed") as refused:
        log.begin(refusal(1))
    assert refused.value.headers == {"retry-after": "1"}
    log.finish(refusal(1))
    log.note(refusal(2))
    log.write_waiting()
    log.prune()
    assert counted.number(metrics.AUDIT_FAILURES).value == 4
    assert counted.number(metrics.AUDIT_DROPPED).value == 1


def test_what_has_begun_says_so(log: AuditLog, rows: Rows) -> None:
    log.begin(dataclasses.replace(refusal(1), outcome="DONE"))
    assert [one.outcome for one in rows.added] == [BEGUN]


def test_what_waits_is_written_when_the_log_stops_and_old_events_go(
    log: AuditLog, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "PAUSE_S", 0.001)
    log.start()
    assert rows.has_pruned.wait(30)
    monkeypatch.setattr(audit, "PAUSE_S", 3600.0)
    log.note(refusal(1))
    log.stop()
    assert [one.event_id for one in rows.added] == [refusal(1).event_id]
    assert rows.pruned[0] <= SystemClock().now_ms() - 3_600_000
