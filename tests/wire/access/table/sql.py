"""SQL statements and the warehouse that runs them."""

from __future__ import annotations

from tests.wire.access.table.rows import ANYBODY, HIDDEN, OK, Row, Rule, Section

STATEMENTS = "/api/2.0/sql/statements"
WAREHOUSES = "/api/2.0/sql/warehouses"
TABLES = "/api/2.1/unity-catalog/tables"
ONES_OWN = Rule(OK, HIDDEN, HIDDEN, HIDDEN)
NOBODYS = Rule(HIDDEN, HIDDEN, HIDDEN, HIDDEN)
ONE, CHUNK, CANCEL = "/{statement_id}", "/{statement_id}/result/chunks/", "/{statement_id}/cancel"

SECTION = Section(
    "SQL",
    "The statement is *manager*'s own. What a statement may read is asked table by table: a table that one may not read is not there.",
    (
        Row("POST", STATEMENTS, ANYBODY, body={"statement": "SELECT 1", "wait_timeout": "0s"}),
        Row("GET", STATEMENTS + ONE, ONES_OWN, STATEMENTS + ONE),
        Row("GET", STATEMENTS + CHUNK + "{chunk_index}", ONES_OWN, STATEMENTS + CHUNK + "0"),
        Row("POST", STATEMENTS + CANCEL, ONES_OWN, STATEMENTS + CANCEL),
        Row("GET", WAREHOUSES, ANYBODY),
        Row("GET", WAREHOUSES + "/{id}", ANYBODY, WAREHOUSES + "/{warehouse_id}"),
        Row("GET", TABLES, ANYBODY, TABLES + "?catalog_name=main&schema_name=default"),
        Row("GET", TABLES + "/{full_name}", NOBODYS, TABLES + "/system.serving.endpoint_usage"),
        Row("GET", TABLES + "/{full_name}/exists", ANYBODY, TABLES + "/system.serving.endpoint_usage/exists"),
    ),
)
