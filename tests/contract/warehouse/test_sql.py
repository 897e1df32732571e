"""SQL over real Delta tables: what may be asked, what is refused, what it costs at most."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tests.fakes.records import AT_MS, PAYLOAD, House, record

from headgate.warehouse.sql import child, translating
from headgate.warehouse.sql.problems import StatementError
from headgate.warehouse.sql.results import Outline
from headgate.warehouse.sql.running import Bounds, Queries, Visible
from headgate.warehouse.sql.statement import Parameter, Statement
from headgate.warehouse.tables import places
from headgate.warehouse.tables.places import TableName

pytestmark = pytest.mark.timeout(300)


VISIBLE = {
    PAYLOAD: "gateway",
    TableName("main", "default", "new_payload"): "legacy",
    places.ENDPOINT_USAGE: "endpoint_usage",
    places.SERVED_ENTITIES: "served_entities",
}


@dataclass
class Result:
    """What a query gave."""

    columns: list[dict[str, Any]]
    rows: list[list[str | None]]
    truncated: bool


@dataclass
class Asking:
    """Asks as somebody who may read these."""

    house: House

    def __call__(self, text: str, *parameters: Parameter, bounds: Bounds | None = None, **settings: Any) -> Result:
        return asyncio.run(self.later(text, *parameters, bounds=bounds or Bounds(), **settings))

    async def later(self, text: str, *parameters: Parameter, bounds: Bounds, **settings: Any) -> Result:
        queries = Queries(self.house.places, replace(self.house.settings, **settings))
        file, outlines = io.BytesIO(), list[Outline]()

        def into(outline: Outline) -> io.BytesIO:
            outlines.append(outline)
            return file

        visible = Visible(VISIBLE.get, lambda: list(VISIBLE))
        await queries.run(Statement(text, parameters), visible, into, bounds)
        assert len(file.getvalue()) == outlines[0].size_bytes
        return Result(outlines[0].columns, json.loads(file.getvalue()), outlines[0].truncated)


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    house = House(tmp_path_factory.mktemp("sql"))
    records = [record(f"r{number}", at_ms=AT_MS + number, status=(200, 429)[number % 2]) for number in range(10)]
    hidden = replace(records[0].inference_table, schema="secret")  # type: ignore[type-var]
    house.put(*records, record("hidden", inference_table=hidden, usage_tracked=False))
    house.load()
    yield Asking(house)


def test_a_query_in_databricks_sql_is_answered(ask: Asking) -> None:
    found = ask(
        "SELECT status_code, count(*) AS n, max(request_time) AS last, "
        "first(get_json_object(request, '$.messages[0].content')) AS said, min(request:messages[0].role) AS role "
        "FROM main.default.churn_payload p "
        "WHERE p.request_date >= date_sub(DATE'2025-06-16', 7) GROUP BY ALL ORDER BY status_code"
    )
    assert found.rows == [
        ["200", "5", "2025-06-15T15:06:40.008Z", "hello", "user"],
        ["429", "5", "2025-06-15T15:06:40.009Z", "hello", "user"],
    ]
    assert [(column["name"], column["type_name"]) for column in found.columns] == [
        ("status_code", "INT"), ("n", "LONG"), ("last", "TIMESTAMP"), ("said", "STRING"), ("role", "STRING"),
    ]  # fmt: skip


def test_usage_and_cost_by_endpoint(ask: Asking) -> None:
    found = ask(
        "WITH u AS (SELECT * FROM system.serving.endpoint_usage) "
        "SELECT endpoint_name, sum(input_token_count) AS tokens, sum(cost_usd) AS cost, usage_context['team'] AS team, "
        "max(guardrails[0].outcome) AS verdict, size(first(attempts)) AS tries, first(attempts) AS all_tries, first(tags) AS tags "
        "FROM u GROUP BY endpoint_name, usage_context['team']"
    )
    (row,) = found.rows
    assert row[:2] == ["chat", "10000"]
    assert row[2] is not None and row[2].rstrip("0") == "0.00195"
    assert row[3:6] == ["blue", "masked", "2"]
    assert row[6] is not None and row[6].startswith(
        '[{"served_entity_id":"s0","served_entity_name":"first","status":503'
    )
    assert row[7] == '{"cost":"42"}'
    assert found.columns[2]["type_name"] == "DECIMAL"
    assert found.columns[6]["type_name"] == "ARRAY"
    assert found.columns[7]["type_text"] == "MAP<STRING, STRING>"


def test_parameters_are_values_and_nothing_else(ask: Asking) -> None:
    text = "SELECT count(*) FROM churn_payload WHERE status_code = :code AND requester = :who OR :nothing IS NOT NULL"
    who = Parameter("who", "ann@example.com")
    assert ask(text, Parameter("code", "200", "INT"), who, Parameter("nothing")).rows == [["5"]]
    evil = Parameter("who", "x' OR 1=1 --")
    assert ask(text, Parameter("code", "200", "INT"), evil, Parameter("nothing")).rows == [["0"]]
    with pytest.raises(StatementError, match="UNBOUND_SQL_PARAMETER"):
        translating.translate(Statement(text), VISIBLE.__contains__)
    strange = Parameter("code", "200", "INT) FROM x --")
    with pytest.raises(StatementError, match="INVALID_PARAMETER_VALUE"):
        translating.translate(Statement(text, [strange, who, Parameter("nothing")]), VISIBLE.__contains__)


REFUSED = (
    "SELECT * FROM read_parquet('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_files('/etc/passwd')",
    "SELECT * FROM parquet.`/etc/passwd`",
    "SELECT * FROM `/etc/passwd`",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM pg_catalog.pg_class",
    "SELECT * FROM sqlite_master",
    "WITH duckdb_views AS (SELECT 1) SELECT * FROM (SELECT * FROM duckdb_views)",
    "SELECT * FROM query('select 1')",
    "SELECT * FROM query_table('headgate_0')",
    "SELECT * FROM headgate_0",
    "SELECT * FROM headgate_",
    "SELECT * FROM IDENTIFIER('main.secret.churn_payload')",
    "SELECT * FROM STREAM(main.secret.churn_payload)",
    "FROM main.secret.churn_payload",
    "TABLE main.secret.churn_payload",
    "SELECT * FROM delta.`/etc`",
    "SELECT * FROM `file:///etc/passwd`",
    "SELECT * FROM delta_scan('/')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM json_execute_serialized_sql('{}')",
    "SELECT * FROM duckdb_logs()",
    "SELECT * FROM arrow_scan(1, 2, 3)",
    "SELECT * FROM pandas_scan(1)",
    "SELECT e.* FROM churn_payload LATERAL VIEW explode(read_text('/etc/passwd')) e",
    "SELECT * FROM (SHOW TABLES)",
    "SELECT * FROM churn_payload@v1",
    "SELECT * INTO x FROM churn_payload",
    "SELECT * FROM churn_payload FOR UPDATE",
    "SUMMARIZE churn_payload",
    "BEGIN",
    "SELECT current_setting('memory_limit')",
    "SELECT getenv('PATH')",
    "SELECT getvariable('x')",
    "SELECT sleep_ms(100000)",
    "SELECT write_log('x')",
    "SELECT json_serialize_plan('select 1')",
    "SELECT version()",
    "SELECT secret('a', 'b')",
    "SELECT java_method('java.lang.System', 'exit', 1)",
    "SELECT (SELECT content FROM read_blob('/etc/passwd'))",
    "SELECT 1 WHERE EXISTS (SELECT * FROM glob('/*'))",
    "SELECT * FROM churn_payload, LATERAL read_csv('/etc/passwd')",
    "SELECT * FROM churn_payload PIVOT (count(*) FOR status_code IN (SELECT * FROM read_csv('/etc/passwd')))",
    "SELECT * FROM churn_payload VERSION AS OF 0",
    "SELECT * FROM a.b.c.d",
    "SELECT * FROM system.main.duckdb_views",
    "COPY (SELECT 1) TO '/tmp/x'",
    "COPY INTO churn_payload FROM '/tmp'",
    "ATTACH '/tmp/x.db'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "PRAGMA database_list",
    "SET memory_limit = '1TB'",
    "RESET ALL",
    "CALL pragma_version()",
    "EXPORT DATABASE '/tmp/x'",
    "CREATE TABLE x AS SELECT 1",
    "CREATE VIEW x AS SELECT 1",
    "CREATE FUNCTION f() RETURN 1",
    "DROP TABLE churn_payload",
    "DELETE FROM churn_payload",
    "UPDATE churn_payload SET status_code = 1",
    "INSERT INTO churn_payload SELECT * FROM churn_payload",
    "MERGE INTO churn_payload USING churn_payload p ON true WHEN MATCHED THEN DELETE",
    "WITH x AS (DELETE FROM churn_payload RETURNING *) SELECT * FROM x",
    "OPTIMIZE churn_payload",
    "VACUUM churn_payload",
    "USE CATALOG system",
    "EXPLAIN SELECT 1",
    "SELECT 1; SELECT 2",
    "",
    "-- nothing",
    "SELECT",
    "SELECT * FROM absent_payload",
    "SELECT * FROM secret.churn_payload",
    "SELECT * FROM main.secret.churn_payload",
    "SELECT * FROM main.default.`../secret/churn_payload`",
    "SELECT (SELECT max(request) FROM main.secret.churn_payload)",
    "WITH c AS (SELECT 1), d AS (SELECT * FROM main.secret.churn_payload) SELECT * FROM d",
    "SELECT * FROM churn_payload UNION ALL SELECT * FROM main.secret.churn_payload",
    "SELECT " + "(" * 5000 + "1" + ")" * 5000,
    "SELECT '" + "x" * 200_000 + "'",
)


def test_only_queries_of_tables_that_the_caller_may_read_are_let_through(ask: Asking) -> None:
    connection = duckdb.connect()
    taken = child.own_names(connection)
    for text in REFUSED:
        with pytest.raises(StatementError) as raised:
            translated = translating.translate(Statement(text), VISIBLE.__contains__)
            child.check(connection, translated.text, list(translated.tables), taken)
        assert "headgate_" not in str(raised.value) or "headgate_" in text, raised.value
    connection.close()


@pytest.mark.parametrize(
    "text", ["SELECT * FROM read_text('/etc/passwd')", "SELECT getvariable('x')", "SELECT absent FROM churn_payload"]
)
def test_what_is_refused_where_it_would_run_is_an_error_of_the_statement(ask: Asking, text: str) -> None:
    with pytest.raises(StatementError) as raised:
        ask(text)
    assert raised.value.http_status == 400


def test_duckdb_itself_is_locked_when_it_sees_a_query(ask: Asking) -> None:
    """Were the lists not there, files and settings still would not be."""
    connection = duckdb.connect(":memory:", config={"temp_directory": ""})
    child.lock(connection, 2**30)
    for text in ("SELECT * FROM read_text('/etc/passwd')", "SELECT * FROM '/etc/passwd'", "SELECT * FROM glob('/*')",
                 "COPY (SELECT 1) TO '/tmp/headgate-never'", "ATTACH '/tmp/headgate-never'", "INSTALL httpfs", "LOAD httpfs",
                 "SET memory_limit='1TB'", "RESET memory_limit", "SET enable_external_access=true", "SELECT * FROM ask"):  # fmt: skip
        with pytest.raises(duckdb.Error):
            connection.execute(text).fetchall()
    connection.close()


def test_nothing_that_a_library_prints_gets_between_the_rows() -> None:
    """DuckDB draws a bar for whatever takes two seconds."""
    connection = duckdb.connect(":memory:", config={"temp_directory": ""})
    child.lock(connection, 2**30)
    assert connection.execute("SELECT current_setting('enable_progress_bar')").fetchall() == [(False,)]
    connection.close()
    script = (
        "import os; from headgate.warehouse.sql import child; child.set_apart(); "
        "os.write(1, b'noise'); print('noise', flush=True); child.say({'a': 1}, b'[]')"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, timeout=60)
    assert ran.stdout == b'{"a":1}\n[]'


def test_a_table_that_is_hidden_is_one_that_is_not_there(ask: Asking) -> None:
    said = []
    for name in ("main.secret.churn_payload", "main.secret.absent_pay"):
        with pytest.raises(StatementError) as raised:
            ask(f"SELECT * FROM {name}")
        said.append(raised.value.message.replace(name.rpartition(".")[2], "x"))
    assert said[0] == said[1]
    assert "TABLE_OR_VIEW_NOT_FOUND" in said[0]


def test_a_result_is_cut_off_at_its_limits(ask: Asking) -> None:
    rows = ask("SELECT * FROM churn_payload", bounds=Bounds(rows=3))
    assert (len(rows.rows), rows.truncated) == (3, True)
    by_size = ask("SELECT repeat('x', 1000) FROM range(1000)", query_result_bytes=10_000)
    assert by_size.truncated
    assert len(by_size.rows) == 9


def test_a_query_that_takes_too_long_is_ended(ask: Asking) -> None:
    began_s = time.monotonic()
    with pytest.raises(StatementError, match="QUERY_EXECUTION_TIMEOUT_EXCEEDED"):
        ask("SELECT sum(a.range * b.range % 7) FROM range(10000000) a, range(10000000) b", bounds=Bounds(seconds=0.5))
    assert time.monotonic() - began_s < 100  # it would take days


def test_a_text_that_takes_too_long_to_read_is_given_up(ask: Asking) -> None:
    columns = ", ".join(f"upper('{number}') AS c{number}" for number in range(3000))
    with pytest.raises(StatementError, match="QUERY_EXECUTION_TIMEOUT_EXCEEDED"):
        ask(f"SELECT {columns}", bounds=Bounds(seconds=0.001))


def test_a_query_that_needs_too_much_memory_fails_alone(ask: Asking) -> None:
    with pytest.raises(StatementError, match="OUT_OF_MEMORY"):
        ask(
            "SELECT count(*) FROM (SELECT DISTINCT repeat('x', 100) || range FROM range(5000000))",
            query_memory_bytes=64 * 1024**2,
        )
    assert ask("SELECT 1").rows == [["1"]]


def test_a_query_nobody_waits_for_is_killed(ask: Asking) -> None:
    def children() -> set[str]:
        found = set()
        for stat in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if b"headgate.warehouse.sql.child" in stat.read_bytes() and _is_ours(stat.parent):
                    found.add(stat.parent.name)
            except OSError:
                continue
        return found

    async def leave() -> None:
        text = "SELECT sum(a.range * b.range % 7) FROM range(10000000) a, range(10000000) b"
        task = asyncio.create_task(ask.later(text, bounds=Bounds()))
        while not children():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not children()

    asyncio.run(leave())


def _is_ours(process: Path) -> bool:
    status = (process / "stat").read_text()
    return int(status.rpartition(")")[2].split()[1]) == os.getpid()


def test_values_are_texts_as_the_api_tells_them(ask: Asking) -> None:
    found = ask(
        "SELECT true, 1.50, DATE'2025-01-02', TIMESTAMP'2025-01-02 03:04:05', CAST(NULL AS INT), array(1, 2), map('a', 1), "
        "named_struct('x', 1, 'y', array('z')), 1e3, CAST(7 AS BIGINT), current_timestamp() > TIMESTAMP'2020-01-01 00:00:00'"
    )
    assert found.rows == [
        ["true", "1.50", "2025-01-02", "2025-01-02T03:04:05.000Z", None, "[1,2]", '{"a":1}', '{"x":1,"y":["z"]}', "1000.0", "7", "true"]
    ]  # fmt: skip


MUCH = "WITH c0 AS (SELECT 1 AS x), " + ", ".join(
    f"c{level} AS (SELECT * FROM c{level - 1} a, c{level - 1} b)" for level in range(1, 26)
)
BOMBS = {
    "WITH RECURSIVE t AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM t) SELECT count(*) FROM t": "TIMEOUT",
    f"{MUCH} SELECT count(*) FROM c25": "",
    "SELECT lpad('x', 2000000000, 'y')": "",
    "SELECT collect_list(range) FROM range(1000000000)": "",
}


@pytest.mark.parametrize("text", BOMBS, ids=["recursion", "columns", "one value", "one list"])
def test_a_bomb_ends_with_its_own_process(ask: Asking, text: str) -> None:
    with pytest.raises(StatementError) as raised:
        ask(text, bounds=Bounds(seconds=1), query_memory_bytes=128 * 1024**2)
    assert BOMBS[text] in raised.value.condition
    assert raised.value.condition in ("QUERY_EXECUTION_TIMEOUT_EXCEEDED", "OUT_OF_MEMORY")


def test_more_rows_than_fit_into_memory_are_cut_off_and_never_gathered(ask: Asking) -> None:
    found = ask("SELECT range, repeat('x', 100) FROM range(100000000)", query_memory_bytes=64 * 1024**2, query_rows=5)
    assert (len(found.rows), found.truncated) == (5, True)
