"""The process that runs one query: reads what to do from standard input, writes the result to standard output, ends.

Started by `running`, which ends it when it takes too long. DuckDB is locked before the query is read: no files, no network, no settings.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
from typing import Any

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
    told = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_die_with_parent, daemon=True).start()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    cpu_s = int(told["seconds"] * told["threads"]) + 5
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    memory = 2 * told["memory_bytes"] + _SPARE_BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    answer = _answer(told)
    sys.stdout.buffer.write(json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode())
    sys.stdout.buffer.flush()
    os._exit(0)  # threads of the libraries need not be waited for


def _answer(told: dict[str, Any]) -> dict[str, Any]:
    import duckdb

    from headgate.warehouse.sql.checking import Refused

    try:
        return _run(told)
    except Refused as error:
        return {"refused": str(error)}
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
    """Raises Refused."""
    from headgate.warehouse.sql import checking

    (serialized,) = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [text]).fetchone()
    checking.check(json.loads(serialized), tables, taken)


def _run(told: dict[str, Any]) -> dict[str, Any]:
    import duckdb

    from headgate.warehouse.sql import values

    connection = duckdb.connect(":memory:", config={"temp_directory": "", "threads": told["threads"]})
    taken = own_names(connection)
    _register(connection, told)
    lock(connection, told["memory_bytes"])
    check(connection, told["sql"], [table["alias"] for table in told["tables"]], taken)
    timer = threading.Timer(told["seconds"], connection.interrupt)
    timer.daemon = True
    timer.start()
    connection.execute(told["sql"])
    types = [str(column[1]) for column in connection.description or ()]
    newer = hasattr(connection, "to_arrow_reader")
    reader = connection.to_arrow_reader(BATCH_ROWS) if newer else connection.fetch_record_batch(BATCH_ROWS)
    return values.collected(reader, types, told["rows"], told["result_bytes"])


def _register(connection: Any, told: dict[str, Any]) -> None:
    from deltalake import DeltaTable

    for table in told["tables"]:
        found = DeltaTable(table["uri"], storage_options=told["options"])
        connection.register(table["alias"], found.to_pyarrow_dataset())


def _die_with_parent() -> None:
    """The other end of standard input is held open by the parent, and by nobody else."""
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    main()
