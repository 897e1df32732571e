"""`w.statement_execution` and `w.warehouses`, as a user's script calls them. Runs in the client's environment."""

from __future__ import annotations

import json
import os
import time

from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import DatabricksError, InvalidParameterValue, NotFound
from databricks.sdk.service.sql import (
    ColumnInfoTypeName,
    Disposition,
    ExecuteStatementRequestOnWaitTimeout,
    Format,
    StatementParameterListItem,
    StatementState,
)

ENDLESS = "SELECT sum(a.range * b.range % 7) FROM range(10000000) a, range(10000000) b"
tokens = json.loads(os.environ["TOKENS"])
host = os.environ["HEADGATE_URL"]
w, bob = (WorkspaceClient(host=host, token=tokens[who], auth_type="pat") for who in ("ann", "bob"))


def until(client, statement_id, *states):
    deadline = time.monotonic() + 60
    while True:
        found = client.statement_execution.get_statement(statement_id)
        if found.status.state in states:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def refused(kind, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except DatabricksError as error:
        assert isinstance(error, kind), (type(error), error)
        return str(error)
    raise AssertionError(f"{named} was not refused")


(warehouse,) = w.warehouses.list()
assert w.warehouses.get(warehouse.id).name == warehouse.name == "headgate"
refused(NotFound, w.warehouses.get, "0" * 16)

sql = w.statement_execution
found = sql.execute_statement(
    statement="SELECT status_code, count(*) AS n, max(request_time) AS last, map('a', 'b') AS t "
    "FROM churn_payload WHERE status_code < :below GROUP BY ALL ORDER BY 1",
    warehouse_id=warehouse.id,
    catalog="main",
    schema="default",
    parameters=[StatementParameterListItem(name="below", value="500", type="INT")],
    wait_timeout="50s",
    on_wait_timeout=ExecuteStatementRequestOnWaitTimeout.CONTINUE,
    disposition=Disposition.INLINE,
    format=Format.JSON_ARRAY,
    row_limit=100,
    byte_limit=100_000,
)
assert found.status.state is StatementState.SUCCEEDED, found.status
columns = found.manifest.schema.columns
assert [column.name for column in columns] == ["status_code", "n", "last", "t"]
assert [column.type_name for column in columns] == [
    ColumnInfoTypeName.INT, ColumnInfoTypeName.LONG, ColumnInfoTypeName.TIMESTAMP, ColumnInfoTypeName.MAP,
]  # fmt: skip
assert [row[:2] for row in found.result.data_array] == [["200", "5"], ["429", "5"]]
assert (found.manifest.total_row_count, found.manifest.total_chunk_count, found.manifest.truncated) == (2, 1, False)
assert sql.get_statement(found.statement_id).result.data_array == found.result.data_array
assert sql.get_statement_result_chunk_n(found.statement_id, 0).data_array == found.result.data_array
refused(NotFound, sql.get_statement_result_chunk_n, found.statement_id, 1)
refused(NotFound, bob.statement_execution.get_statement, found.statement_id)

failed = bob.statement_execution.execute_statement("SELECT * FROM main.default.churn_payload", warehouse.id)
assert failed.status.state is StatementState.FAILED
assert "TABLE_OR_VIEW_NOT_FOUND" in failed.status.error.message and failed.status.error.error_code is not None
told = refused(
    InvalidParameterValue, sql.execute_statement, "SELECT 1", warehouse.id, disposition=Disposition.EXTERNAL_LINKS
)
assert "INLINE" in told

assert [table.full_name for table in w.tables.list("main", "default")] == [
    "main.default.churn_payload", "main.default.empty_payload",
]  # fmt: skip
table = w.tables.get("main.default.churn_payload")
assert (table.name, table.data_source_format.value) == ("churn_payload", "DELTA")
assert w.tables.exists(table.full_name).table_exists
assert list(bob.tables.list("main", "default")) == []
refused(NotFound, bob.tables.get, table.full_name)
refused(NotFound, w.tables.get, "system.serving.endpoint_usage")
assert not bob.tables.exists(table.full_name).table_exists

running = sql.execute_statement(ENDLESS, warehouse.id, wait_timeout="0s")
until(w, running.statement_id, StatementState.RUNNING)
sql.cancel_execution(running.statement_id)
assert (
    until(w, running.statement_id, StatementState.CANCELED, StatementState.SUCCEEDED).status.state
    is StatementState.CANCELED
)
print(json.dumps("walked"))
