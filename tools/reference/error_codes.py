"""docs/reference/errors.md: every error a client can be shown, and what the Databricks SDK makes of it."""

from __future__ import annotations

from collections.abc import Iterator

from databricks.sdk.errors import platform
from databricks.sdk.errors.base import DatabricksError
from tools.reference.markdown import code, table
from tools.reference.markdown import page as make_page

from headgate import errors

INTRODUCTION = """Every error, on every route, is `{"error_code": "…", "message": "…"}`; the message says what was wrong and what to do.
There is never a 413 or 422, since MLflow's client would retry those."""


def page() -> str:
    rows = {
        (kind.http_status, kind.error_code): (str(kind.http_status), code(kind.error_code), code(_raised(kind)))
        for kind in classes()
    }
    listed = table(("HTTP", "error_code", "Databricks SDK raises"), [rows[key] for key in sorted(rows)])
    return make_page("Errors", INTRODUCTION, listed)


def classes(of: type[errors.HeadgateError] = errors.HeadgateError) -> Iterator[type[errors.HeadgateError]]:
    """All classes of the tree that can be raised."""
    for kind in of.__subclasses__():
        yield kind
        yield from classes(kind)


def _raised(kind: type[errors.HeadgateError]) -> str:
    """The SDK looks for the code first, then for the status."""
    by_status = platform.STATUS_CODE_MAPPING.get(kind.http_status, DatabricksError)
    return str(platform.ERROR_CODE_MAPPING.get(kind.error_code, by_status).__name__)
