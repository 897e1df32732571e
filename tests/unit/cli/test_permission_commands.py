from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_server import FakeServer

PERMISSIONS = "/api/2.0/permissions/serving-endpoints/churn"
GRANTS = "/api/2.1/unity-catalog/permissions/function/main.default.churn"
SHOWN = {
    "object_id": "/serving-endpoints/1",
    "object_type": "serving-endpoint",
    "access_control_list": [
        {"user_name": "ann", "all_permissions": [{"permission_level": "CAN_QUERY", "inherited": False}]},
        {"group_name": "admins", "all_permissions": [{"permission_level": "CAN_MANAGE", "inherited": True}]},
    ],
}


def test_permissions_are_shown_as_a_table_or_as_json(server: FakeServer, run: Run) -> None:
    server.answer(f"GET {PERMISSIONS}", SHOWN)
    lines = run("permissions", "get", "churn", "-o", "text").out.splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["ann", "user", "CAN_QUERY"],
        ["admins", "group", "CAN_MANAGE", "inherited"],
    ]
    assert json.loads(run("permissions", "get", "churn").out) == SHOWN


@pytest.mark.parametrize(("command", "method"), [("set", "PUT"), ("update", "PATCH")])
def test_levels_are_given_to_all_kinds(server: FakeServer, run: Run, command: str, method: str) -> None:
    server.answer(f"{method} {PERMISSIONS}", SHOWN)
    given = ("--user", "a=b@x=CAN_VIEW", "--group", "team=CAN_QUERY", "--service-principal", "1-2=CAN_MANAGE")
    assert run("permissions", command, "churn", *given).code == 0
    assert server.asked[0].body == {
        "access_control_list": [
            {"user_name": "a=b@x", "permission_level": "CAN_VIEW"},
            {"group_name": "team", "permission_level": "CAN_QUERY"},
            {"service_principal_name": "1-2", "permission_level": "CAN_MANAGE"},
        ]
    }
    assert run("permissions", command, "churn", "--user", "ann").code == 2


def test_an_endpoint_is_taken_over_or_given_away(server: FakeServer, run: Run) -> None:
    server.answer("PATCH /api/2.0/serving-endpoints/churn/creator", {"name": "churn", "creator": "ann"})
    ran = run("serving-endpoints", "replace-creator", "churn")
    assert (ran.code, ran.err.strip()) == (0, "endpoint churn is ann's")
    run("serving-endpoints", "replace-creator", "churn", "--user", "ann")
    assert [asked.body for asked in server.asked] == [{}, {"user_name": "ann"}]


def test_grants_are_changed_and_shown(server: FakeServer, run: Run) -> None:
    shown = {"privilege_assignments": [{"principal": "ann", "privileges": ["EXECUTE"]}]}
    server.answer(f"PATCH {GRANTS}", shown)
    place = ("function", "main.default.churn", "--principal", "ann")
    ran = run("grants", "update", *place, "--privilege", "+EXECUTE", "--privilege", "-MANAGE", "-o", "text")
    assert ran.out.split()[-2:] == ["ann", "EXECUTE"]
    assert server.asked[0].body == {"changes": [{"principal": "ann", "add": ["EXECUTE"], "remove": ["MANAGE"]}]}
    assert run("grants", "update", *place, "--privilege", "EXECUTE").code == 2
    effective = {"privilege": "EXECUTE", "inherited_from_type": "CATALOG", "inherited_from_name": "main"}
    answer = {"privilege_assignments": [{"principal": "ann", "privileges": [effective]}]}
    server.answer(f"GET {GRANTS.replace('permissions', 'effective-permissions')}", answer)
    ran = run("grants", "get", "function", "main.default.churn", "--effective", "-o", "text")
    assert ran.out.split()[-4:] == ["ann", "EXECUTE", "catalog", "main"]


def event(**more: Any) -> dict[str, Any]:
    return {
        "event_time": 0, "service_name": "serving endpoints", "action_name": "create", "path": "/x", "object": "churn",
        "user_identity": {"user_name": "ann"}, "source_ip_address": "10.0.0.1", "outcome": "DONE",
        "response": {"status_code": 200}, "count": 1, **more,
    }  # fmt: skip


def test_the_audit_log_is_shown(server: FakeServer, run: Run) -> None:
    refused = event(
        outcome="REFUSED", response={"status_code": 401}, user_identity={"user_name": ""}, count=7, action_name=""
    )
    server.answer("GET /api/2.0/audit/events", {"events": [event(), refused]})
    lines = run("audit", "list", "--principal", "ann", "-o", "text").out.splitlines()
    assert lines[1].split() == [
        "1970-01-01",
        "00:00:00",
        "ann",
        "10.0.0.1",
        "serving",
        "endpoints:",
        "create",
        "churn",
        "DONE",
        "200",
    ]
    assert lines[2].split() == ["1970-01-01", "00:00:00", "?", "10.0.0.1", "/x", "churn", "REFUSED", "401", "×7"]


def test_the_audit_log_is_read_page_by_page_up_to_the_limit(server: FakeServer, run: Run) -> None:
    base = "GET /api/2.0/audit/events"
    server.answer(base, {"events": [event(), event()], "next_page_token": "t"})
    server.answer(f"{base}?outcome=DONE&page_token=t&max_results=1", {"events": [event()], "next_page_token": "u"})
    assert len(json.loads(run("audit", "list", "--outcome", "DONE", "--limit", "3").out)) == 3
    run("audit", "list", "--since", "24h")
    assert "start_time=" in server.asked[-1].query
