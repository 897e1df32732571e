"""docs/reference/access.md: who may use which route, from the table that the tests in tests/wire/access hold the server to."""

from __future__ import annotations

import re

from tests.wire.access.table import whole
from tests.wire.access.table.rows import CALLERS, FORBIDDEN, HIDDEN, OK, Row, Section
from tools.reference import routes
from tools.reference.markdown import code, table
from tools.reference.markdown import page as make_page

from headgate.api.app import OPENAPI_PATH
from headgate.api.tracking import families as tracking

INTRODUCTION = """Five callers, by what they hold on the thing a route is about, and what each is answered. The tests ask every route as
every caller on a running server and fail when a route is missing here.

* **yes**: it is done. **403**: `PERMISSION_DENIED`; the caller may know of the thing, but not do this to it. **404**: the answer is,
  but for the name, the one about something that does not exist.
* *admin* is in the group `admins` and may do everything. *stranger* has a valid token and holds nothing.
* Without a token, or with one that is malformed, expired, revoked, of somebody deleted, of another installation, or a JWT signed by
  somebody else, the answer is 401 `UNAUTHENTICATED`, but for routes marked **anyone**, which ask nobody who they are.
* A token narrowed to querying one endpoint is answered 403 wherever it asks for anything else."""

_PAGES = "/mlflow/"
"""Of MLflow's web pages: the same routes once more, said in words."""
_SHOWN = {OK: "yes", FORBIDDEN: "403", HIDDEN: "404"}


def page() -> str:
    sections = [f"## {section.title}\n\n{section.holds}\n\n{_table(section)}" for section in whole.SECTIONS]
    return make_page("Who may use which route", INTRODUCTION, *sections)


def served_routes() -> set[tuple[str, str]]:
    """(method, path) of everything the public port answers, hidden routes and HEAD too where it is a route of its own."""
    found = {(route.method, route.path) for route in routes.all_routes()}
    found |= {(method, route.path) for route in routes.application().state.routes for method in route.methods}
    named = {("GET", OPENAPI_PATH), *tracking.ROUTES}
    # A route for whatever lies below a path says in ROUTES what that is.
    found |= {route for route in routes.unlisted() if not _is_named(route, named)}
    return found | named


def _is_named(route: tuple[str, str], named: set[tuple[str, str]]) -> bool:
    folder = route[1].removesuffix("{path:path}")
    return route in named or (folder != route[1] and any(path.startswith(folder) for _, path in named))


def _table(section: Section) -> str:
    return table(("", "Path", *CALLERS), [_cells(row) for row in section.rows if not row.path.startswith(_PAGES)])


def _cells(row: Row) -> tuple[str, ...]:
    path = code(re.sub(r":path\}", "}", row.path))
    return (row.method, path, *(_cell(row, caller) for caller in CALLERS))


def _cell(row: Row, caller: str) -> str:
    return "anyone" if row.rule.open else _SHOWN[row.rule.of(caller)]
