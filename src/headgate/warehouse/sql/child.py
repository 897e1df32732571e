"""The process that translates and runs one query: reads what to do from standard input, writes the result to standard output, ends.

Started by `running`, which ends it when it takes too long. DuckDB is locked before the query is read: no files, no network, no settings.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what is imported here delays every query
    from headgate.warehouse.sql.translating import Translated
    from headgate.warehouse.tables.places import TableName

BATCH_ROWS = 1000
_SPARE_BYTES = 1024**3
"""What the libraries take beside DuckDB's own limit."""
_LOCKS = (
    "SET enable_external_access=false",
    "SET autoinstall_known_extensions=false",
    "SET autoload_known_extensions=false",
    "SET allow_community_extensions=false",
    "SET python_enable_replacements=false",
    "SET TimeZone='UTC'",
    "SET lock_configuration=true",
)


def main() -> None:
    told = _heard()
    _limit(told)
    answer = _answer(told)
    _say(answer)
    os._exit(0)  # threads of the libraries need not be waited for


def _limit(told: dict[str, Any]) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    cpu_s = int(told["seconds"] * told["threads"]) + 5
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    memory = 2 * told["memory_bytes"] + _SPARE_BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


def _answer(told: dict[str, Any]) -> dict[str, Any]:
    import duckdb

    from headgate.warehouse.sql import problems

    try:
        return _run(told)
    except problems.StatementError as error:
        return {"error": [error.condition, error.sql_state, error.said]}
    except (MemoryError, duckdb.OutOfMemoryException):
        return {"out_of_memory": True}
    except duckdb.InterruptException:
        return {"too_slow": True}
    except duckdb.Error as error:
        return {"failed": str(error).partition("\n")[0]}
    except Exception as error:  # noqa: BLE001 - the last catcher: its word is all that the parent hears
        return {"failed": f"{type(error).__name__}: {error}".partition("\n")[0]}


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

    (serialized,) = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [text]).fetchone()
    try:
        checking.check(json.loads(serialized), tables, taken)
    except checking.Refused as error:
        raise problems.not_allowed(str(error)) from error


def _run(told: dict[str, Any]) -> dict[str, Any]:
    import duckdb

    from headgate.warehouse.sql import values

    translated, places = _translated(told)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    connection = duckdb.connect(":memory:", config={"temp_directory": "", "threads": told["threads"]})
    taken = own_names(connection)
    _register(connection, {alias: places[name] for alias, name in translated.tables.items()}, told["options"])
    lock(connection, told["memory_bytes"])
    check(connection, translated.text, list(translated.tables), taken)
    timer = threading.Timer(told["seconds"], connection.interrupt)
    timer.daemon = True
    timer.start()
    connection.execute(translated.text)
    types = [str(column[1]) for column in connection.description or ()]
    newer = hasattr(connection, "to_arrow_reader")
    reader = connection.to_arrow_reader(BATCH_ROWS) if newer else connection.fetch_record_batch(BATCH_ROWS)
    return values.collected(reader, types, told["rows"], told["result_bytes"])


def _translated(told: dict[str, Any]) -> tuple[Translated, dict[TableName, str]]:
    """DuckDB's SQL, and where its tables lie: the parent says so of those that may be read."""
    from headgate.warehouse.sql import statement, translating

    places: dict[TableName, str] = {}

    def readable(name: TableName) -> bool:
        if name not in places:
            _say({"table": [name.catalog, name.schema, name.table]})
            uri = _heard()["uri"]
            if uri is None:
                return False
            places[name] = uri
        return True

    # Whoever finds a text that takes the translator for ever is ended by the alarm.
    signal.setitimer(signal.ITIMER_REAL, told["seconds"])
    asked = told["statement"]
    parameters = [statement.Parameter(**item) for item in asked.pop("parameters")]
    translated = translating.translate(statement.Statement(**asked, parameters=parameters), readable)
    signal.setitimer(signal.ITIMER_REAL, 0)
    return translated, places


def _register(connection: Any, places: dict[str, str], options: dict[str, str]) -> None:
    from deltalake import DeltaTable

    for alias, uri in places.items():
        connection.register(alias, DeltaTable(uri, storage_options=options).to_pyarrow_dataset())


def _say(told: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(told, separators=(",", ":")).encode() + b"\n")
    sys.stdout.buffer.flush()


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
