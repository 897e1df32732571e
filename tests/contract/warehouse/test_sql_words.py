"""Databricks SQL as people write it over these tables: what each statement answers, on DuckDB, and what is refused with which words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pyarrow as pa
import pytest

from headgate.warehouse.sql import child, translating, values
from headgate.warehouse.sql.problems import StatementError
from headgate.warehouse.sql.statement import Parameter, Statement
from headgate.warehouse.tables import columns, places
from headgate.warehouse.tables.places import TableName

AT = datetime(2025, 6, 15, 15, 6, 40, tzinfo=timezone.utc)
REQUEST = '{"messages":[{"role":"user","content":"hello"}],"max_tokens":5}'
Ask = Callable[..., list[list[str | None]]]


def rows(schema: pa.Schema, *told: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist([dict.fromkeys(schema.names) | row for row in told], schema=schema)


def tables() -> dict[TableName, pa.Table]:
    payload = [
        {
            "databricks_request_id": f"r{number}",
            "request_time": AT + timedelta(hours=number),
            "request_date": AT.date(),
            "status_code": (200, 429)[number % 2],
            "execution_duration_ms": 10 + number,
            "request": REQUEST if number else "not JSON",
            "logging_error_codes": ["A", "B"] if number == 1 else [],
            "requester": "ann",
        }
        for number in range(10)
    ]
    usage = {
        "endpoint_name": "chat",
        "request_time": AT,
        "request_date": AT.date(),
        "input_token_count": 10,
        "output_token_count": 5,
        "usage_context": [("team", "blue")],
        "cost_usd": Decimal("0.5"),
        "guardrails": [{"guardrail": "pii", "outcome": "masked"}, {"guardrail": "safety", "outcome": "passed"}],
    }
    return {
        TableName("main", "default", "p"): rows(columns.PAYLOAD, *payload),
        TableName("main", "default", "chat_payload"): rows(columns.PAYLOAD, *payload),
        places.ENDPOINT_USAGE: rows(columns.ENDPOINT_USAGE, usage),
        places.SERVED_ENTITIES: columns.SERVED_ENTITIES.empty_table(),
    }


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    known = tables()
    connections = []

    def asked(text: str, **parameters: str) -> list[list[str | None]]:
        given = [Parameter(name, value) for name, value in parameters.items()]
        translated = translating.translate(Statement(text, given), known.__contains__)
        connection = duckdb.connect(":memory:", config={"temp_directory": "", "threads": 1})
        connections.append(connection)
        taken = child.own_names(connection)
        for alias, name in translated.tables.items():
            connection.register(alias, known[name])
        child.lock(connection, 2**29)
        child.check(connection, translated.text, list(translated.tables), taken)
        _, found = values.collected(*child.flowing(connection, translated.text), values.Bounds(1000, 2**20))
        return orjson.loads(found)  # type: ignore[no-any-return]

    yield asked
    for connection in connections:
        connection.close()


ANSWERED: dict[str, list[list[str | None]]] = {
    # Time
    "SELECT date_trunc('HOUR', max(request_time)), date_trunc('MM', DATE'2025-02-11')::date FROM p": [
        ["2025-06-16T00:00:00.000Z", "2025-02-01"]
    ],
    "SELECT timestampdiff(HOUR, TIMESTAMP'2025-01-01 00:59:00', TIMESTAMP'2025-01-01 01:01:00')": [["0"]],
    "SELECT datediff(MINUTE, min(request_time), max(request_time)) FROM p": [["540"]],
    "SELECT datediff(DATE'2025-01-03', DATE'2025-01-01')": [["2"]],
    "SELECT date_sub(DATE'2025-01-08', 7), date_add('2025-01-01', 3)": [["2025-01-01", "2025-01-04"]],
    "SELECT count(*) FROM p WHERE request_time > now() - INTERVAL 24 HOURS": [["0"]],
    "SELECT count(*) FROM p WHERE request_date >= date_sub(current_date(), 36500)": [["10"]],
    "SELECT dayofweek(DATE'2025-06-15'), weekday(DATE'2025-06-15'), extract(DOW FROM DATE'2025-06-15')": [
        ["1", "6", "1"]
    ],
    "SELECT date_format(min(request_time), 'yyyy-MM-dd HH:mm'), hour(min(request_time)) FROM p": [
        ["2025-06-15 15:06", "15"]
    ],
    "SELECT unix_timestamp(TIMESTAMP'1970-01-01 00:01:00'), timestamp_millis(60000), from_unixtime(60)": [
        ["60", "1970-01-01T00:01:00.000Z", "1970-01-01 00:01:00"]
    ],
    # Bodies
    "SELECT count(request:messages[0].content), min(request:messages[0].content), max(request:max_tokens::int) FROM p": [
        ["9", "hello", "5"]
    ],
    "SELECT DISTINCT get_json_object(request, '$.messages[0].role') FROM p ORDER BY 1": [[None], ["user"]],
    "SELECT DISTINCT from_json(request, 'messages ARRAY<STRUCT<role: STRING, content: STRING>>').messages[0].content c "
    "FROM p ORDER BY c": [[None], ["hello"]],
    "SELECT from_json('{\"a\":{\"x\":1}}', 'STRUCT<a: MAP<STRING, INT>>').a['x'], from_json('no', 'a INT')": [["1", None]],
    "SELECT sum(json_array_length(request:messages)) FROM p": [["9"]],
    # Aggregates and windows
    "SELECT percentile_approx(execution_duration_ms, 0.95), percentile(execution_duration_ms, 0.5) FROM p": [
        ["19", "14.5"]
    ],
    "SELECT percentile_approx(execution_duration_ms, array(0.5, 0.95)) FROM p": [["[14,19]"]],
    "SELECT count_if(status_code >= 400), count(*) FILTER (WHERE status_code = 200), count(DISTINCT requester) FROM p": [
        ["5", "5", "1"]
    ],
    "SELECT databricks_request_id FROM p QUALIFY row_number() OVER (PARTITION BY status_code ORDER BY request_time DESC) = 1": [
        ["r8"], ["r9"],
    ],
    "SELECT lag(status_code) OVER (ORDER BY request_time), sum(1) OVER (ORDER BY request_time) FROM p LIMIT 2": [
        [None, "1"], ["200", "2"],
    ],
    "SELECT status_code, count(*) FROM p GROUP BY ROLLUP (status_code) ORDER BY 1": [
        [None, "10"], ["200", "5"], ["429", "5"],
    ],
    "SELECT max_by(databricks_request_id, request_time), size(collect_set(status_code)) FROM p": [["r9", "2"]],
    # Arrays, maps, structs
    "SELECT code FROM p LATERAL VIEW explode(logging_error_codes) e AS code ORDER BY 1": [["A"], ["B"]],
    "SELECT explode(logging_error_codes) FROM p": [["A"], ["B"]],
    "SELECT g.guardrail, g.outcome FROM system.serving.endpoint_usage LATERAL VIEW explode(guardrails) t AS g ORDER BY 1": [
        ["pii", "masked"], ["safety", "passed"],
    ],
    "SELECT usage_context['team'], guardrails[0].outcome, element_at(guardrails, 2).outcome FROM system.serving.endpoint_usage": [
        ["blue", "masked", "passed"]
    ],
    "SELECT exists(array(1, 2), x -> x = 2), filter(array(1, 2), x -> x > 1), transform(array(1), x -> x + 1)": [
        ["true", "[2]", "[2]"]
    ],
    "SELECT aggregate(array(1, 2), 0, (a, x) -> a + x), arrays_overlap(array(1), array(1)), array_contains(array('a'), 'a')": [
        ["3", "true", "true"]
    ],
    "SELECT split('a,b', ',')[1], array_join(array('a', 'b'), '-'), slice(array(1, 2, 3), 2, 2), sequence(1, 3)": [
        ["b", "a-b", "[2,3]", "[1,2,3]"]
    ],
    # The rest of a query
    "WITH headgate_0 AS (SELECT 'x' AS requester) SELECT DISTINCT p.requester, h.requester FROM p, headgate_0 h": [
        ["ann", "x"]
    ],
    "WITH a AS (SELECT 1 AS x), b AS (SELECT x + 1 AS y FROM a) SELECT * FROM a JOIN b ON y = x + 1": [["1", "2"]],
    "SELECT u.endpoint_name, e.entity_name FROM system.serving.endpoint_usage u "
    "LEFT JOIN system.serving.served_entities e USING (served_entity_id)": [["chat", None]],
    "SELECT `p`.`status_code` FROM `main`.`default`.`p` ORDER BY 1 LIMIT 1": [["200"]],
    "SELECT main.default.p.requester FROM main.default.p LIMIT 1": [["ann"]],
    "SELECT /*+ BROADCAST(u) */ round(sum(cost_usd), 2), 5 / 2, 5 div 2, \"text\" FROM system.serving.endpoint_usage u": [
        ["0.50", "2.5", "2", "text"]
    ],
    "SELECT * FROM VALUES (1, 'a'), (2, 'b') AS t(n, s)": [["1", "a"], ["2", "b"]],
    "SELECT try_divide(1, 0), try_cast('x' AS INT), nvl(NULL, 2), coalesce(NULL, 3), if(1 > 0, 'y', 'n')": [
        [None, None, "2", "3", "y"]
    ],
    "SELECT 'abc' RLIKE 'b', 'ABC' ILIKE 'a%', regexp_replace('a11', '1', 'x'), regexp_extract('ab', '(b)')": [
        ["true", "true", "axx", "b"]
    ],
    "SELECT status_code FROM p WHERE requester IN (SELECT 'ann') INTERSECT SELECT 200": [["200"]],
    "SELECT pmod(-1, 3), greatest(1, 2), md5('a') = sha2('a', 256), length('é')": [["2", "2", "false", "1"]],
    "SELECT * EXCEPT (request, response, request_time, logging_error_codes) FROM p WHERE databricks_request_id = 'r0'": [
        ["r0", "2025-06-15", None, "200", None, "10", None, "ann"]
    ],
}  # fmt: skip


@pytest.mark.parametrize("text", ANSWERED)
def test_databricks_sql_is_answered_as_databricks_would(ask: Ask, text: str) -> None:
    assert ask(text) == ANSWERED[text]


def test_parameter_markers_stand_wherever_a_value_may(ask: Ask) -> None:
    assert ask(
        "SELECT :what || '!', count(*) FROM p WHERE requester = :who AND request_date >= date_sub(:day, 1)",
        what="n", who="ann", day="2025-06-15",
    ) == [["n!", "10"]]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SELECT ai_query('chat', 'hi')", "the function ai_query"),
        ("SELECT inline(guardrails) FROM system.serving.endpoint_usage", "the function inline"),
        ("SELECT json_tuple(request, 'a') FROM p", "the function json_tuple"),
        ("SELECT current_user()", "the function current_user"),
        ("SELECT from_json(request, schema_of_json('{}')) FROM p", "not written out"),
        ("SELECT from_json(request, 'no schema at all') FROM p", "no schema"),
        ("SELECT * FROM IDENTIFIER('p')", "identifier"),
        ("SELECT * FROM p VERSION AS OF 1", "older version"),
        ("SELECT * FROM p@v1", "older version"),
        ("EXPLAIN SELECT 1", "queries only"),
        ("CREATE TEMP VIEW v AS SELECT 1", "queries only"),
    ],
)
def test_what_is_not_there_is_refused_by_name(ask: Ask, text: str, said: str) -> None:
    with pytest.raises(StatementError) as raised:
        ask(text)
    assert said.lower() in raised.value.message.lower()


def test_a_column_without_a_name_is_called_what_was_written(ask: Ask) -> None:
    text = "SELECT count(*), request:messages[0].content, status_code, max(status_code) AS m, 1 + 1 FROM p GROUP BY ALL"
    translated = translating.translate(Statement(text), lambda name: name.table == "p")
    connection = duckdb.connect()
    connection.register("headgate_0", columns.PAYLOAD.empty_table())
    found = connection.sql(translated.text).columns
    assert found == ["count(*)", "request:messages[0].content", "status_code", "m", "1 + 1"]
    connection.close()


PAGE = Path(__file__).parents[3] / "docs" / "sql.md"
SHOWN = re.findall(r"^```sql\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", SHOWN, ids=lambda text: " ".join(text.split()[:6]))
def test_what_the_page_shows_can_be_asked(ask: Ask, text: str) -> None:
    assert isinstance(ask(text), list)


def test_the_page_shows_something() -> None:
    assert len(SHOWN) >= 8
