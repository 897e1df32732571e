"""SQL on a running house: any server process answers about any statement, and one that was killed leaves nothing running."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.scenario.house import House, descendants, until

pytestmark = pytest.mark.scenario

STATEMENTS = "/api/2.0/sql/statements"
ENDLESS = "SELECT sum(a.range * b.range % 7) FROM range(10000000) a, range(10000000) b"
LOOKS = 12
"""Requests on connections of their own: more than enough to meet each of two processes."""


def ask(house: House, method: str, path: str = "", body: Any = None) -> Any:
    answer = house.request(method, f"{STATEMENTS}{path}", body)
    assert answer.status == 200, answer
    return answer.json


def state(house: House, statement_id: str) -> str:
    return str(ask(house, "GET", f"/{statement_id}")["status"]["state"])


def queries(house: House) -> list[int]:
    """Processes of the house that run one."""
    assert house.process is not None
    found = []
    for pid in descendants(house.process.pid):
        try:
            if b"warehouse.sql.child" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
        except OSError:
            continue
    return found


def test_every_process_answers_about_every_statement_and_a_killed_one_leaves_nothing_behind(tmp_path: Path) -> None:
    with House(tmp_path / "data", HEADGATE_WORKERS="2") as house:
        endless = {"statement": ENDLESS, "wait_timeout": "0s"}
        done = ask(house, "POST", body={"statement": "SELECT 1", "wait_timeout": "50s"})
        statement_id = ask(house, "POST", body=endless)["statement_id"]
        until(lambda: state(house, statement_id) == "RUNNING", "it runs")
        assert {state(house, statement_id) for _ in range(LOOKS)} == {"RUNNING"}
        assert all(ask(house, "GET", f"/{done['statement_id']}") == done for _ in range(LOOKS))
        ask(house, "POST", f"/{statement_id}/cancel")
        until(lambda: state(house, statement_id) == "CANCELED", "it is cancelled")
        until(lambda: not queries(house), "its process is gone")

        statement_id = ask(house, "POST", body=endless)["statement_id"]
        until(lambda: state(house, statement_id) == "RUNNING" and queries(house), "it runs")
        for pid in house.pids("server"):
            house.kill(pid)
        until(house.healthy, "the servers are back")
        assert {state(house, statement_id) for _ in range(LOOKS)} == {"FAILED"}
        assert ask(house, "GET", f"/{done['statement_id']}") == done
        until(lambda: not queries(house), "its process is gone")
