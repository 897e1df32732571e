"""The audit log, on every database."""

from __future__ import annotations

import dataclasses

from headgate.domain.audit import BEGUN, DONE, REFUSED, AuditEvent, AuditFilter, AuditPlace
from headgate.store.audit import AuditEvents
from headgate.store.database import Database


def event(number: int, **more: object) -> AuditEvent:
    made = AuditEvent(f"{number:032x}", 1000 + number // 2, "PUT", "/api/2.0/x", outcome=DONE, status_code=200)
    return dataclasses.replace(made, **more)  # type: ignore[arg-type]


def test_events_come_newest_first_in_pages_that_neither_miss_nor_repeat(database: Database) -> None:
    log = AuditEvents(database)
    log.add([event(number) for number in range(7)])
    first = log.search(AuditFilter(), 3)
    log.add([event(9)])  # what comes meanwhile is not in later pages
    last = first[-1]
    second = log.search(AuditFilter(), 10, AuditPlace(last.event_time_ms, last.event_id))
    assert [int(one.event_id, 16) for one in first + second] == [6, 5, 4, 3, 2, 1, 0]


def test_an_event_is_finished_once(database: Database) -> None:
    log = AuditEvents(database)
    begun = event(1, outcome=BEGUN, status_code=0)
    log.add([begun])
    log.finish(dataclasses.replace(begun, object="churn").ended(REFUSED, 403, "PERMISSION_DENIED"))
    log.finish(begun.ended(DONE, 200, ""))
    [found] = log.search(AuditFilter(), 10)
    assert (found.outcome, found.status_code, found.error_code, found.object) == (
        REFUSED,
        403,
        "PERMISSION_DENIED",
        "churn",
    )


def test_every_filter_chooses(database: Database) -> None:
    log = AuditEvents(database)
    named = {"principal_id": "77", "principal_name": "ben", "action_name": "update", "service_name": "s", "object": "o"}
    log.add([event(2, outcome=REFUSED, **named), event(8)])
    for chosen in (
        AuditFilter(principal="77"),
        AuditFilter(principal="ben"),
        AuditFilter(outcome=REFUSED),
        AuditFilter(action="update"),
        AuditFilter(service="s"),
        AuditFilter(object="o"),
        AuditFilter(until_ms=1004),
        AuditFilter(principal="ben", outcome=REFUSED, since_ms=1001, until_ms=1002),
    ):
        assert [one.event_id for one in log.search(chosen, 10)] == [event(2).event_id]
    assert log.search(AuditFilter(principal="ben", outcome=DONE), 10) == []
    assert [one.event_id for one in log.search(AuditFilter(since_ms=1002), 10)] == [event(8).event_id]


def test_what_clients_sent_fits_however_long_and_odd_it_is(database: Database) -> None:
    log = AuditEvents(database)
    log.add([event(1, path="/" + "x" * 9999, user_agent="a\x00b\ud800", object="é" * 9999, principal_name="n" * 300)])
    [found] = log.search(AuditFilter(), 10)
    assert (len(found.path), len(found.object), len(found.principal_name)) == (512, 767, 256)
    assert found.user_agent == "a\ufffdb?"


def test_old_events_are_forgotten(database: Database) -> None:
    log = AuditEvents(database)
    log.add([event(number) for number in range(6)])
    assert log.prune(1001) == 2
    assert len(log.search(AuditFilter(), 10)) == 4
