"""The process that translates and runs one query: reads what to do from standard input, writes the result to what was its standard output, ends.

Started by `running`, which ends it when it takes too long. DuckDB is locked before the query is read: no files, no network, no settings.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:  # what is imported here delays every query
    from headgate.warehouse.sql.looking import Listing
    from headgate.warehouse.sql.statement import Statement
    from headgate.warehouse.sql.values import Bounds
    from headgate.warehouse.tables.places import TableName

BATCH_ROWS = 1000
_SPARE_BYTES = 1024**3
"""What the libraries take beside DuckDB's own limit."""
_INTERRUPTED_S = 1.0
"""A query that was interrupted may take so long to stop."""
_parent: IO[bytes] | None = None
_LOCKS = (
    "SET enable_progress_bar=false",
    "SET enable_external_access=false",
    "SET autoinstall_known_extensions=false",
    "SET autoload_known_extensions=false",
    "SET allow_community_extensions=false",
    "SET python_enable_replacements=false",
    "SET TimeZone='UTC'",
    "SET lock_configuration=true",
)


def main() -> None:
    set_apart()
    told = _heard()
    _limit(told)
    answer, rows = _answer(told)
    say(answer, rows)
    os._exit(0)  # threads of the libraries need not be waited for


def _limit(told: dict[str, Any]) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    cpu_s = int(told["seconds"] * told["threads"]) + 5
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    memory = 2 * told["memory_bytes"] + _SPARE_BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


def _answer(told: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """What there is to say, and the rows."""
    import duckdb

    from headgate.warehouse.sql import problems

    try:
        return _run(told)
    except problems.StatementError as error:
        return {"error": [error.condition, error.sql_state, error.said]}, b""
    except (MemoryError, duckdb.OutOfMemoryException):
        return {"out_of_memory": True}, b""
    except duckdb.InterruptException:
        return {"too_slow": True}, b""
    except duckdb.Error as error:
        return {"failed": str(error).partition("\n")[0]}, b""
    except Exception as error:  # noqa: BLE001 - the last catcher: its word is all that the parent hears
        return {"failed": f"{type(error).__name__}: {error}".partition("\n")[0]}, b""


def lock(connection: Any, memory_bytes: int) -> None:
    """From here on no files, no network, no settings."""
    connection.execute(f"SET memory_limit='{int(memory_bytes)}B'")
    for setting in _LOCKS:
        connection.execute(setting)


def own_names(connection: Any) -> set[str]:
    """What there is to read in DuckDB before anything of ours is."""
    return {str(row[0]).lower() for row in connection.execute("SELECT view_name FROM duckdb_views()").fetchall()}


def check(connection: Any, text: str, tables: list[str], taken: set[str]) -> None:
    """Raises StatementError."""
    from headgate.warehouse.sql import checking, problems

    ((serialized,),) = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [text]).fetchall()
    try:
        checking.check(json.loads(serialized), tables, taken)
    except checking.Refused as error:
        raise problems.not_allowed(str(error)) from error


def _run(told: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    from headgate.warehouse.sql import looking, statement, values

    asked = told["statement"]
    parameters = [statement.Parameter(**item) for item in asked.pop("parameters")]
    wanted = statement.Statement(**asked, parameters=parameters)
    tables = _Tables(told["options"])
    bounds = values.Bounds(told["rows"], told["result_bytes"])
    # Whoever finds a text that takes the translator for ever is ended by the alarm.
    signal.setitimer(signal.ITIMER_REAL, told["seconds"])
    if looking.looks(wanted.text):
        listing = _look(wanted, tables)
        columns = [values.column(name, "VARCHAR", position) for position, name in enumerate(listing.columns)]
        return values.bounded(columns, listing.rows, bounds)
    return _query(wanted, tables, told, bounds)


def _query(wanted: Statement, tables: _Tables, told: dict[str, Any], bounds: Bounds) -> tuple[dict[str, Any], bytes]:
    import duckdb

    from headgate.warehouse.sql import translating, values

    translated = translating.translate(wanted, tables.known)
    signal.setitimer(signal.ITIMER_REAL, 0)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    connection = duckdb.connect(":memory:", config={"temp_directory": "", "threads": told["threads"]})
    taken = own_names(connection)
    for alias, name in translated.tables.items():
        connection.register(alias, tables.rows(name))
    lock(connection, told["memory_bytes"])
    # And so is what DuckDB cannot be interrupted in: planning, and some functions.
    signal.setitimer(signal.ITIMER_REAL, told["seconds"] + _INTERRUPTED_S)
    check(connection, translated.text, list(translated.tables), taken)
    timer = threading.Timer(told["seconds"], connection.interrupt)
    timer.daemon = True
    timer.start()
    return values.collected(*flowing(connection, translated.text), bounds)


def flowing(connection: Any, text: str) -> tuple[Any, list[str]]:
    """Batches of the query's rows, made as they are asked for, so that no more need be in memory; and DuckDB's types."""
    relation = connection.sql(text)
    newer = hasattr(relation, "to_arrow_reader")
    reader = relation.to_arrow_reader(BATCH_ROWS) if newer else relation.fetch_arrow_reader(BATCH_ROWS)
    return reader, [str(kind) for kind in relation.types]


def _look(wanted: Statement, tables: _Tables) -> Listing:
    from headgate.warehouse.sql import looking, problems

    name = looking.described(wanted)
    if name is None:
        return looking.shown(wanted, tables.every)
    if not tables.known(name):
        raise problems.no_table(f"`{name.catalog}`.`{name.schema}`.`{name.table}`")
    return looking.columns(tables.schema(name))


class _Tables:
    """Those that the caller may read, as the parent tells."""

    def __init__(self, options: dict[str, str]) -> None:
        self._options = options
        self._found: dict[TableName, dict[str, Any]] = {}

    def known(self, name: TableName) -> bool:
        """Whether there is such a table."""
        if name not in self._found:
            say({"find": [name.catalog, name.schema, name.table]})
            self._found[name] = _heard()
        return self._found[name]["uri"] is not None

    def every(self) -> list[TableName]:
        """All of them."""
        from headgate.warehouse.tables.places import TableName

        say({"every": True})
        return [TableName(*parts) for parts in _heard()["tables"]]

    def rows(self, name: TableName) -> Any:
        """What DuckDB can read; a table in which there is nothing yet is empty."""
        from headgate.warehouse.tables import columns

        table = self._opened(name)
        return columns.FORMS[self._found[name]["form"]].empty_table() if table is None else table.to_pyarrow_dataset()

    def schema(self, name: TableName) -> dict[str, Any]:
        """As Delta writes it."""
        from deltalake import Schema

        from headgate.warehouse.tables import columns

        table = self._opened(name)
        form = columns.FORMS[self._found[name]["form"]]
        told: dict[str, Any] = json.loads((Schema.from_arrow(form) if table is None else table.schema()).to_json())
        return told

    def _opened(self, name: TableName) -> Any:
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        try:
            return DeltaTable(self._found[name]["uri"], storage_options=self._options)
        except TableNotFoundError:
            return None


def set_apart() -> None:
    """From here on what a library prints goes to standard error: standard output is for the parent alone."""
    global _parent
    _parent = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)


def say(told: dict[str, Any], rows: bytes = b"") -> None:
    """To the parent."""
    assert _parent is not None
    _parent.write(json.dumps(told, separators=(",", ":")).encode() + b"\n" + rows)
    _parent.flush()


def _heard() -> Any:
    line = sys.stdin.buffer.readline()
    if not line:
        os._exit(1)
    return json.loads(line)


def _die_with_parent() -> None:
    """The other end of standard input is held open by the parent, and by nobody else."""
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    main()
