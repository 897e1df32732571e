"""The statement execution API over HTTP: answers, rights, turns, cancelling, and two server processes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.wire.sql.conftest import CHURN, STATEMENTS, Server, SqlHouse

from headgate.api.sql import statements as family
from headgate.cli.main import main
from headgate.domain.grants import CAN_MANAGE, CAN_QUERY, ENDPOINT, Securable
from headgate.store.endpoints import Endpoints
from headgate.store.grants import Grants
from headgate.warehouse.sql import statements
from headgate.warehouse.sql.shelf import Fate, Shelf

pytestmark = pytest.mark.timeout(300)

ENDLESS = "SELECT sum(a.range * b.range % 7) FROM range(10000000) a, range(10000000) b"
PAYLOAD = "main.default.churn_payload"


def until_over(server: Server, statement_id: str, *states: str, token: str) -> Any:
    """The answer once its state is one of these, or it is over."""
    deadline_s = time.monotonic() + 60
    while True:
        body = server.state(statement_id, token)
        if body["status"]["state"] in (states or ("SUCCEEDED", "FAILED", "CANCELED")):
            return body
        assert time.monotonic() < deadline_s, body
        time.sleep(0.02)


@pytest.fixture
def endless(house: SqlHouse) -> Iterator[str]:
    """A statement of Ann's that runs on the first server until it is stopped."""
    statement_id = house.first.execute(ENDLESS, house.ann.token, wait_timeout="0s")["statement_id"]
    until_over(house.first, statement_id, "RUNNING", token=house.ann.token)
    yield statement_id
    house.first.ask("POST", f"{STATEMENTS}/{statement_id}/cancel", token=house.ann.token)
    until_over(house.first, statement_id, token=house.ann.token)


def test_an_answer_has_the_shape_of_the_api_and_can_be_asked_for_again(house: SqlHouse) -> None:
    text = f"SELECT status_code, count(*) AS n FROM {PAYLOAD} WHERE requester = :who GROUP BY 1 ORDER BY 1"
    parameters = [{"name": "who", "value": "ann@example.com"}]
    body = house.first.execute(text, parameters=parameters, warehouse_id="any", row_limit=None)
    rows = [["200", "5"], ["429", "5"]]
    chunk = {"chunk_index": 0, "row_offset": 0, "row_count": 2, "byte_count": 25}
    statement_id = body["statement_id"]
    assert body == {
        "statement_id": statement_id,
        "status": {"state": "SUCCEEDED"},
        "manifest": {
            "format": "JSON_ARRAY",
            "schema": {
                "column_count": 2,
                "columns": [
                    {"name": "status_code", "position": 0, "type_name": "INT", "type_text": "INT"},
                    {"name": "n", "position": 1, "type_name": "LONG", "type_text": "BIGINT"},
                ],
            },
            "total_chunk_count": 1,
            "chunks": [chunk],
            "total_row_count": 2,
            "total_byte_count": 25,
            "truncated": False,
        },
        "result": {**chunk, "data_array": rows},
    }
    for server in (house.first, house.second):
        assert server.state(statement_id) == body
        assert server.ask("GET", f"{STATEMENTS}/{statement_id}/result/chunks/0") == (200, body["result"])
        status, error = server.ask("GET", f"{STATEMENTS}/{statement_id}/result/chunks/1")
        assert (status, error["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_nobody_needs_to_wait(house: SqlHouse) -> None:
    sent = house.first.execute("SELECT 1 AS one", wait_timeout="0s")
    assert sent["status"]["state"] in ("PENDING", "RUNNING")
    assert "result" not in sent
    over = until_over(house.second, sent["statement_id"], token="token-of-ada")
    assert over["result"]["data_array"] == [["1"]]


def test_a_statement_that_fails_says_why_with_200(house: SqlHouse) -> None:
    body = house.first.execute("SELECT absent FROM main.default.churn_payload")
    assert body["status"]["state"] == "FAILED"
    assert body["status"]["error"]["error_code"] == "BAD_REQUEST"
    assert "absent" in body["status"]["error"]["message"]
    assert "result" not in body
    refused = house.first.execute("DROP TABLE churn_payload")["status"]
    assert (refused["state"], refused["sql_state"]) == ("FAILED", "0A000")
    status, error = house.first.ask("GET", f"{STATEMENTS}/{body['statement_id']}/result/chunks/0")
    assert (status, error["error_code"]) == (400, "INVALID_STATE")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"wait_timeout": "3s"}, "between 5s and 50s"),
        ({"wait_timeout": "51s"}, "between 5s and 50s"),
        ({"wait_timeout": "soon"}, "wait_timeout"),
        ({"on_wait_timeout": "WAIT"}, "CONTINUE or CANCEL"),
        ({"on_wait_timeout": "CANCEL", "wait_timeout": "0s"}, "CONTINUE"),
        ({"disposition": "EXTERNAL_LINKS"}, "send INLINE"),
        ({"format": "ARROW_STREAM"}, "send JSON_ARRAY"),
        ({"row_limit": 0}, "row_limit"),
        ({"parameters": [{"value": "1"}]}, "name"),
        ({"statement": None}, "statement"),
    ],
)
def test_what_cannot_be_done_is_refused_before_it_runs(house: SqlHouse, more: Any, said: str) -> None:
    status, error = house.first.ask("POST", STATEMENTS, {"statement": "SELECT 1", **more})
    assert (status, error["error_code"], set(error)) == (400, "INVALID_PARAMETER_VALUE", {"error_code", "message"})
    assert said in error["message"]


def test_limits_of_the_caller_cut_the_result_off(house: SqlHouse) -> None:
    some = house.first.execute(f"SELECT * FROM {PAYLOAD}", row_limit=3)["manifest"]
    assert (some["total_row_count"], some["truncated"]) == (3, True)
    few = house.first.execute(f"SELECT request FROM {PAYLOAD}", byte_limit=200)["manifest"]
    assert few["truncated"]
    assert few["total_byte_count"] <= 200


def test_catalog_and_schema_are_those_of_names_without(house: SqlHouse) -> None:
    assert house.first.rows("SELECT count(*) FROM endpoint_usage", catalog="system", schema="serving") == [["11"]]
    assert house.first.rows("SELECT count(*) FROM CHURN_payload") == [["10"]]


def test_a_table_that_one_may_not_read_is_not_there(house: SqlHouse) -> None:
    usage, old, absent = "system.serving.endpoint_usage", "main.default.old_payload", "main.default.absent_payload"
    everything = (
        f"SELECT (SELECT count(*) FROM {PAYLOAD}), (SELECT count(*) FROM {usage}), (SELECT count(*) FROM {old})"
    )
    denied = [("token-of-ada", absent), (house.ann.token, usage), (house.ann.token, old), (house.bob.token, PAYLOAD)]
    assert house.first.execute(everything)["status"]["state"] == "FAILED"  # `old` is nobody's: it was never claimed
    for token, table in denied:
        said = house.first.execute(f"SELECT count(*) FROM {table}", token)["status"]["error"]["message"]
        assert said.startswith("[TABLE_OR_VIEW_NOT_FOUND]"), (table, said)
    assert house.first.rows(f"SELECT count(*) FROM {PAYLOAD}", house.ann.token) == [["10"]]


def test_what_is_shown_and_described_is_what_one_may_read(house: SqlHouse) -> None:
    ann, bob, server = house.ann.token, house.bob.token, house.first
    mine = [["default", name, "false"] for name in ("churn_payload", "empty_payload")]
    assert server.rows("SHOW TABLES", ann) == server.rows("show tables in main.`default` like '*payload'", ann) == mine
    assert server.rows("SHOW TABLES", bob) == []
    assert server.rows("SHOW CATALOGS", ann) == [["main"]]
    assert server.rows("SHOW SCHEMAS IN system") == [["serving"]]
    described = server.rows(f"DESCRIBE TABLE {PAYLOAD}", ann)
    assert described[:2] == [["databricks_request_id", "string", ""], ["request_date", "date", ""]]
    assert ["guardrails", described_verdicts(), ""] in server.rows("DESCRIBE system.serving.endpoint_usage")
    said = server.execute(f"DESCRIBE {PAYLOAD}", bob)["status"]["error"]["message"]
    assert "TABLE_OR_VIEW_NOT_FOUND" in said
    assert server.execute("SHOW FUNCTIONS", ann)["status"]["state"] == "FAILED"


def described_verdicts() -> str:
    fields = "guardrail:string,phase:string,outcome:string,detail:string,duration_ms:double,shadow:boolean"
    return f"array<struct<{fields}>>"


def test_a_table_nothing_was_written_to_yet_is_empty(house: SqlHouse) -> None:
    text = "SELECT count(*), max(status_code) FROM main.default.empty_payload"
    assert house.first.rows(text, house.ann.token) == [["0", None]]
    assert house.first.rows("SELECT * FROM system.serving.served_entities") == []


def test_managing_the_endpoint_opens_its_table_and_only_as_long_as_there_is_one(house: SqlHouse) -> None:
    text, grants = f"SELECT count(*) FROM {PAYLOAD}", Grants(house.database)
    endpoint = Securable(ENDPOINT, CHURN)
    for level, state in ((CAN_QUERY, "FAILED"), (CAN_MANAGE, "SUCCEEDED")):
        grants.change(endpoint, {house.bob.id: [level]}, {})
        assert house.first.execute(text, house.bob.token)["status"]["state"] == state
    grants.change(endpoint, {}, {house.bob.id: [CAN_QUERY, CAN_MANAGE]})
    assert house.first.execute(text, house.bob.token)["status"]["state"] == "FAILED"
    endpoints = Endpoints(house.database)
    Endpoints(house.database).change("empty", 1, ai_gateway=None)
    endpoints.delete("empty", 2)
    gone = "SELECT count(*) FROM main.default.empty_payload"
    assert house.first.execute(gone, house.ann.token)["status"]["state"] == "FAILED"
    assert house.first.rows(gone) == [["0"]]


def test_a_statement_is_there_for_whoever_sent_it_and_for_administrators(house: SqlHouse) -> None:
    statement_id = house.first.execute("SELECT 1", house.ann.token)["statement_id"]
    absent = "00000000-0000-0000-0000-000000000000"
    for method, more in (("GET", ""), ("GET", "/result/chunks/0"), ("POST", "/cancel")):
        for server in (house.first, house.second):
            path = f"{STATEMENTS}/{statement_id}{more}"
            hidden = server.ask(method, path, token=house.bob.token)
            missing = server.ask(method, path.replace(statement_id, absent), token=house.bob.token)
            assert hidden[0] == missing[0] == 404
            assert hidden[1]["error_code"] == "RESOURCE_DOES_NOT_EXIST"
            assert str(hidden[1]).replace(statement_id, absent) == str(missing[1])
            assert server.ask(method, path, token=house.ann.token)[0] == 200
            assert server.ask(method, path)[0] == 200
    for strange in ("x", "..%2F..%2Fadmin-token", "%2e%2e", "a" * 3000):
        assert house.first.ask("GET", f"{STATEMENTS}/{strange}")[0] == 404


def test_the_other_server_process_stops_it(house: SqlHouse, endless: str) -> None:
    assert house.second.state(endless, house.ann.token)["status"] == {"state": "RUNNING"}
    assert house.second.ask("POST", f"{STATEMENTS}/{endless}/cancel", token=house.bob.token)[0] == 404
    assert house.second.ask("POST", f"{STATEMENTS}/{endless}/cancel", token=house.ann.token) == (200, {})
    over = until_over(house.second, endless, token=house.ann.token)
    assert over == {"statement_id": endless, "status": {"state": "CANCELED"}}
    assert house.first.state(endless, house.ann.token) == over


def test_what_nobody_waits_for_can_be_stopped_by_its_own_deadline(
    house: SqlHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(family, "_LEAST_WAIT_S", 1)
    body = house.first.execute(ENDLESS, wait_timeout="1s", on_wait_timeout="CANCEL")
    assert body["status"] == {"state": "CANCELED"}


def test_one_callers_statements_leave_room_for_others(
    house: SqlHouse, endless: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = house.first.execute(ENDLESS, house.ann.token, wait_timeout="0s")["statement_id"]
    assert house.first.rows("SELECT 1", house.bob.token) == [["1"]]
    assert house.first.state(second, house.ann.token)["status"]["state"] == "PENDING"
    monkeypatch.setattr(statements, "MOST_OF_ONE", 2)
    status, error = house.first.ask("POST", STATEMENTS, {"statement": "SELECT 1"}, house.ann.token)
    assert (status, error["error_code"]) == (429, "REQUEST_LIMIT_EXCEEDED")
    assert house.first.rows("SELECT 1", house.bob.token) == [["1"]]
    house.first.ask("POST", f"{STATEMENTS}/{second}/cancel", token=house.ann.token)
    assert until_over(house.first, second, token=house.ann.token)["status"]["state"] == "CANCELED"


def test_a_full_disk_refuses_statements_or_fails_them_and_says_so(
    house: SqlHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Shelf, "begin", full)
    body = house.first.execute("SELECT 1")
    assert body["status"]["error"]["error_code"] == "TEMPORARILY_UNAVAILABLE"
    assert "No space left" in body["status"]["error"]["message"]
    monkeypatch.setattr(Shelf, "put", full)
    status, error = house.first.ask("POST", STATEMENTS, {"statement": "SELECT 1"})
    assert (status, error["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")


def test_what_a_dead_server_process_was_about_to_do_has_failed(house: SqlHouse) -> None:
    statement_id = house.first.execute("SELECT 1", house.ann.token)["statement_id"]
    house.second.kept.put(house.ann.id, statement_id, Fate("RUNNING", "0" * 32))
    for server in (house.first, house.second):
        status = server.state(statement_id, house.ann.token)["status"]
        assert (status["state"], status["error"]["error_code"]) == ("FAILED", "TEMPORARILY_UNAVAILABLE")


def test_the_command_line_asks_and_waits(house: SqlHouse, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--host", house.first.url, "--token", house.ann.token)
    text = f"SELECT status_code, count(*) AS n FROM {PAYLOAD} WHERE status_code = :code GROUP BY 1"
    with pytest.raises(SystemExit) as ended:
        main(["sql", text, "--param", "code:INT=429", *where])
    assert (ended.value.code or 0, json.loads(capsys.readouterr().out)) == (0, [{"status_code": 429, "n": 5}])
    with pytest.raises(SystemExit) as ended:
        main(["sql", "SELECT * FROM main.default.old_payload", *where])
    assert ended.value.code == 1
    assert "TABLE_OR_VIEW_NOT_FOUND" in capsys.readouterr().err
