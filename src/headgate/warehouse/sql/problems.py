"""What may be wrong with a statement, in Databricks' words. The statement API puts it into the answer's `status.error`."""

from __future__ import annotations

from headgate.errors import BadRequest


class StatementError(BadRequest):
    """The statement failed. `condition` is Databricks' error class, `sql_state` the standard's."""

    def __init__(self, condition: str, sql_state: str, said: str) -> None:
        super().__init__(f"[{condition}] {said} SQLSTATE: {sql_state}")
        self.condition, self.sql_state, self.said = condition, sql_state, said


def syntax(said: str) -> StatementError:
    return StatementError("PARSE_SYNTAX_ERROR", "42601", said)


def not_allowed(what: str) -> StatementError:
    return StatementError(
        "UNSUPPORTED_FEATURE", "0A000", f"{what} cannot be used here: this server answers queries only."
    )


def no_table(name: str) -> StatementError:
    return StatementError("TABLE_OR_VIEW_NOT_FOUND", "42P01", f"The table or view {name} cannot be found.")


def no_value(name: str) -> StatementError:
    return StatementError("UNBOUND_SQL_PARAMETER", "42P02", f"Found the unbound parameter {name}: give it a value.")


def bad_value(name: str, kind: str) -> StatementError:
    return StatementError("INVALID_PARAMETER_VALUE", "22023", f"The value of the parameter {name} is not a {kind}.")


def failed(said: str) -> StatementError:
    return StatementError("QUERY_EXECUTION_ERROR", "XX000", said)


def too_slow(limit_s: float) -> StatementError:
    return StatementError("QUERY_EXECUTION_TIMEOUT_EXCEEDED", "57KD0", f"The query took longer than {limit_s:g} s.")


def too_large(limit_bytes: int) -> StatementError:
    return StatementError(
        "OUT_OF_MEMORY", "53200", f"The query needs more than {limit_bytes // 1024**2} MiB of memory."
    )
