from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_server import FakeServer

from headgate.cli import sql

STATEMENTS = "/api/2.0/sql/statements"
COLUMNS = (("day", "DATE"), ("n", "LONG"), ("cost", "DECIMAL"), ("ok", "BOOLEAN"), ("tags", "MAP"), ("x", "DOUBLE"))
ROWS = [["2026-01-01", "7", "0.50", "true", '{"a":"b"}', None]]


def told(state: str, **more: Any) -> dict[str, Any]:
    return {"statement_id": "s1", "status": {"state": state, **more}}


def succeeded(rows: Any = ROWS, truncated: bool = False) -> dict[str, Any]:
    schema = {"columns": [{"name": name, "type_name": kind} for name, kind in COLUMNS]}
    return told("SUCCEEDED") | {
        "manifest": {"schema": schema, "truncated": truncated},
        "result": {"data_array": rows},
    }


def test_a_result_is_waited_for_and_printed(server: FakeServer, run: Run) -> None:
    server.answer(f"POST {STATEMENTS}", told("PENDING"))
    server.answer(f"GET {STATEMENTS}/s1", succeeded())
    given = ("--param", "who=ann@x=y", "--param", "code:INT=200", "--limit", "5", "--catalog", "shop")
    ran = run("sql", "SELECT 1", *given)
    assert json.loads(ran.out) == [
        {"day": "2026-01-01", "n": 7, "cost": "0.50", "ok": True, "tags": {"a": "b"}, "x": None}
    ]
    assert server.asked[0].body == {
        "statement": "SELECT 1",
        "catalog": "shop",
        "schema": "default",
        "wait_timeout": "0s",
        "parameters": [
            {"name": "who", "value": "ann@x=y", "type": "STRING"},
            {"name": "code", "value": "200", "type": "INT"},
        ],
        "row_limit": 5,
    }


def test_as_a_table_or_as_csv(server: FakeServer, run: Run) -> None:
    server.answer(f"POST {STATEMENTS}", succeeded(truncated=True))
    ran = run("sql", "SELECT 1", "--format", "csv")
    assert ran.out == 'day,n,cost,ok,tags,x\n2026-01-01,7,0.50,true,"{""a"":""b""}",\n'
    assert "more rows" in ran.err
    for asked in (("--format", "table"), ("-o", "text")):
        lines = run("sql", "SELECT 1", *asked).out.splitlines()
        assert [line.split() for line in lines] == [
            ["day", "n", "cost", "ok", "tags", "x"],
            ["2026-01-01", "7", "0.50", "true", '{"a":"b"}', "NULL"],
        ]


def test_what_failed_is_said_on_one_line(server: FakeServer, run: Run) -> None:
    error = {"error_code": "BAD_REQUEST", "message": "[PARSE_SYNTAX_ERROR]\nno"}
    server.answer(f"POST {STATEMENTS}", told("FAILED", error=error))
    ran = run("sql", "SELEC")
    assert (ran.code, ran.err) == (1, "Error: [PARSE_SYNTAX_ERROR] no\n")
    assert run("sql", "SELECT 1", "--param", "x").code == 2


def test_an_interrupt_stops_the_statement(server: FakeServer, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    server.answer(f"POST {STATEMENTS}", told("PENDING"))
    server.answer(f"POST {STATEMENTS}/s1/cancel", {})
    monkeypatch.setattr(sql.time, "sleep", interrupted)
    ran = run("sql", "SELECT 1")
    assert (ran.code, ran.err) == (1, "Error: the statement was stopped\n")
    assert [asked.path for asked in server.asked] == [STATEMENTS, f"{STATEMENTS}/s1/cancel"]
