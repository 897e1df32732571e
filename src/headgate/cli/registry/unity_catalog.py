"""Unity Catalog's REST API, for the commands in this folder: paths, and lists over all pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from headgate.cli.client import Client
from headgate.cli.printing import print_table

UNITY_CATALOG = "/api/2.1/unity-catalog"


def path_of(*parts: str) -> str:
    """`/api/2.1/unity-catalog/parts…`, each quoted."""
    return "/".join([UNITY_CATALOG, *(quote(part, safe="") for part in parts)])


def listed(client: Client, path: str, key: str, params: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """All pages of a list whose entries are under `key`. Raises CliError."""
    found: list[dict[str, Any]] = []
    asked = dict(params or {})
    while True:
        page = client.get(path, asked)
        found += page.get(key, [])
        if not page.get("next_page_token"):
            return found
        asked["page_token"] = page["next_page_token"]


def print_namespaces(found: list[dict[str, Any]]) -> None:
    """Catalogs or schemas as text."""
    rows = ((item["full_name"], item.get("owner") or "", item.get("comment") or "") for item in found)
    print_table(("NAME", "OWNER", "COMMENT"), rows)
