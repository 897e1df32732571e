"""`headgate sql "SELECT …"`: runs one statement, waits for its result and prints it. Ctrl-C stops it on the server as well."""

from __future__ import annotations

import csv
import enum
import json
import sys
import time
from typing import Annotated, Any

import typer

from headgate.cli import printing
from headgate.cli.client import Client
from headgate.cli.printing import note, print_json, print_table
from headgate.cli.problems import CliError
from headgate.cli.session import Session, register

STATEMENTS = "/api/2.0/sql/statements"
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 1.0


group = typer.Typer()
_NUMBERS = {"BYTE": int, "SHORT": int, "INT": int, "LONG": int, "FLOAT": float, "DOUBLE": float}
_NESTED = ("ARRAY", "MAP", "STRUCT")


class Form(str, enum.Enum):
    """How a result is printed."""

    table = "table"
    json = "json"
    csv = "csv"


@register(group, "sql")
def sql(
    session: Session,
    statement: Annotated[
        str, typer.Argument(help="One query in Databricks SQL; `-` reads it from standard input.", show_default=False)
    ],
    param: Annotated[
        list[str] | None,
        typer.Option(
            "--param",
            metavar="NAME=VALUE",
            help="Value of `:NAME`; NAME:TYPE=VALUE for another type than STRING. Repeatable.",
        ),
    ] = None,
    form: Annotated[
        Form | None,
        typer.Option("--format", help="Default: table on a terminal, json elsewhere.", show_default=False),
    ] = None,
    catalog: Annotated[str, typer.Option("--catalog", help="Of tables named without.")] = "main",
    schema: Annotated[str, typer.Option("--schema", help="Of tables named without.")] = "default",
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Most rows.")] = None,
) -> None:
    """Ask the inference and usage tables."""
    text = sys.stdin.read() if statement == "-" else statement
    asked: dict[str, Any] = {"statement": text, "catalog": catalog, "schema": schema, "wait_timeout": "0s"}
    asked["parameters"] = [_parameter(given) for given in param or ()]
    if limit is not None:
        asked["row_limit"] = limit
    client = session.client()
    answer = _result(client, client.send("POST", STATEMENTS, asked))
    _print(answer, form or (Form.table if session.format is printing.Format.text else Form.json))
    if answer["manifest"]["truncated"] and limit is None:
        note("There are more rows than the server gives at once; ask for less, or for a part.")


def _parameter(given: str) -> dict[str, str]:
    name, found, value = given.partition("=")
    name, _, kind = name.partition(":")
    if not found or not name:
        raise typer.BadParameter(f"{given!r} has no value; write --param NAME=VALUE")
    return {"name": name, "value": value, "type": kind or "STRING"}


def _result(client: Client, answer: dict[str, Any]) -> dict[str, Any]:
    """The answer once the statement has succeeded. Raises CliError."""
    path, pause_s = f"{STATEMENTS}/{answer['statement_id']}", FIRST_PAUSE_S
    try:
        while answer["status"]["state"] in ("PENDING", "RUNNING"):
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, LONGEST_PAUSE_S)
            answer = client.get(path)
    except KeyboardInterrupt:
        client.send("POST", f"{path}/cancel")
        raise CliError("the statement was stopped") from None
    status = answer["status"]
    if status["state"] != "SUCCEEDED":
        raise CliError(status.get("error", {}).get("message") or f"the statement is {status['state']}")
    return answer


def _print(answer: dict[str, Any], form: Form) -> None:
    columns = answer["manifest"]["schema"]["columns"]
    names = [column["name"] for column in columns]
    rows = answer["result"]["data_array"]
    if form is Form.json:
        kinds = [column["type_name"] for column in columns]
        print_json([dict(zip(names, map(_typed, row, kinds), strict=True)) for row in rows])
    elif form is Form.csv:
        csv.writer(sys.stdout, lineterminator="\n").writerows([names, *rows])
    else:
        print_table(names, [["NULL" if value is None else value for value in row] for row in rows])


def _typed(value: str | None, kind: str) -> Any:
    """As JSON tells it; what would lose digits stays a text."""
    if value is None:
        return None
    if kind == "BOOLEAN":
        return value == "true"
    if kind in _NESTED:
        return json.loads(value)
    return _NUMBERS.get(kind, str)(value)
