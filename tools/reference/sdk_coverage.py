"""docs/reference/sdk-coverage.md: each method of the SDK's `serving_endpoints`, its request, and whether there is a route for it.

Both sides are read from code: the requests from the SDK's source, the routes from the application.
"""

from __future__ import annotations

import inspect
import re

from databricks.sdk.mixins.open_ai_client import ServingEndpointsExt
from tools.reference import routes
from tools.reference.markdown import code, table
from tools.reference.markdown import page as make_page

INTRODUCTION = """Methods of `WorkspaceClient().serving_endpoints` (Databricks SDK for Python). *yes* means that the route they call exists and works;
*not yet* that it answers with a clear error."""
REQUEST = re.compile(r'_api\.do\(\s*"(\w+)",\s*f?"([^"]+)"')
CALLED = re.compile(r"self\.(\w+)\(")
# These hand out another library's client instead of making a request.
CLIENTS = ("POST", "/serving-endpoints/chat/completions")


def page() -> str:
    rows = [(code(name), code(" ".join(request)), _works(request)) for name, request in operations().items()]
    return make_page("SDK coverage", INTRODUCTION, table(("Method", "Request", "Implemented"), rows))


def operations() -> dict[str, tuple[str, str]]:
    """Public method -> the HTTP method and path it calls first."""
    names = [
        name for name, _ in inspect.getmembers(ServingEndpointsExt, inspect.isfunction) if not name.startswith("_")
    ]
    return {name: _request(name) for name in names}


def is_implemented(request: tuple[str, str]) -> bool:
    wanted = (request[0], routes.shape(request[1]))
    return any(route.works and (route.method, routes.shape(route.path)) == wanted for route in routes.all_routes())


def agrees(written: str, generated: str) -> bool:
    """Whether nothing in the page is wrong; it may lack methods that only a newer SDK has, and have ones an older lacks."""
    said, true = _rows(written), _rows(generated)
    shared = said.keys() & true.keys()
    return bool(shared) and all(said[method] == true[method] for method in shared)


def _request(name: str) -> tuple[str, str]:
    source = inspect.getsource(getattr(ServingEndpointsExt, name))
    if found := REQUEST.search(source):
        return found[1], found[2]
    called = [other for other in CALLED.findall(source) if hasattr(ServingEndpointsExt, other) and other[0] != "_"]
    return _request(called[0]) if called else CLIENTS


def _works(request: tuple[str, str]) -> str:
    return "yes" if is_implemented(request) else "not yet"


def _rows(page: str) -> dict[str, str]:
    return {line.split("|")[1]: line for line in page.splitlines() if line.startswith("| `")}
