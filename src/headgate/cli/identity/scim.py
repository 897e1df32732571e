"""Users, groups and service principals over SCIM, for the commands in this folder: found by id or by name, changed, printed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from headgate.cli.client import Client
from headgate.cli.printing import print_pairs, print_table
from headgate.cli.problems import ApiError, CliError

SCIM = "/api/2.0/preview/scim/v2"
USERS = "Users"
GROUPS = "Groups"
SERVICE_PRINCIPALS = "ServicePrincipals"

_NAMES: Mapping[str, Sequence[str]] = {
    USERS: ("userName",),
    GROUPS: ("displayName",),
    SERVICE_PRINCIPALS: ("applicationId", "displayName"),
}
_NOUNS = {USERS: "user", GROUPS: "group", SERVICE_PRINCIPALS: "service principal"}

Resource = dict[str, Any]


def listed(client: Client, plural: str, wanted: str | None = None) -> list[Resource]:
    """All, or those a SCIM filter matches. Raises CliError."""
    found: list[Resource] = []
    while True:
        page = client.get(
            f"{SCIM}/{plural}", {"startIndex": str(len(found) + 1), **({"filter": wanted} if wanted else {})}
        )
        resources = page.get("Resources", [])
        found += resources
        if not resources or len(found) >= page.get("totalResults", 0):
            return found


def find(client: Client, plural: str, who: str) -> Resource:
    """The one of that id or name. Raises CliError when there is none, or several."""
    if who.isdigit():
        try:
            return dict(client.get(path_of(plural, who)))
        except ApiError as error:
            if error.status != 404:
                raise
    matches = " or ".join(f"{name} eq {json.dumps(who, ensure_ascii=False)}" for name in _NAMES[plural])
    found = listed(client, plural, matches)
    if not found:
        raise CliError(f"there is no {_NOUNS[plural]} called {who}")
    if len(found) > 1:
        ids = ", ".join(one["id"] for one in found)
        raise CliError(f"there are {len(found)} called {who}: name one by its id ({ids})")
    return found[0]


def find_anybody(
    client: Client, who: str, kinds: Iterable[str] = (USERS, SERVICE_PRINCIPALS, GROUPS)
) -> tuple[str, Resource]:
    """Kind and resource of the one of that id or name, whatever it is. Raises CliError."""
    for plural in kinds:
        try:
            return plural, find(client, plural, who)
        except ApiError:
            raise
        except CliError as error:
            if not error.message.startswith("there is no"):
                raise
    raise CliError(f"there is no {' or '.join(_NOUNS[plural] for plural in kinds)} called {who}")


def path_of(plural: str, identity_id: str) -> str:
    """Of one of them."""
    return f"{SCIM}/{plural}/{quote(identity_id, safe='')}"


def patch(client: Client, plural: str, who: str, *operations: Resource) -> Resource:
    """Changes the one of that id or name; how it is then. Raises CliError."""
    body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": list(operations)}
    return dict(client.send("PATCH", path_of(plural, find(client, plural, who)["id"]), body))


def entries(values: Iterable[str]) -> list[Resource]:
    """As SCIM has lists."""
    return [{"value": value} for value in values]


def print_one(resource: Resource) -> None:
    """Names and values."""
    print_pairs((name, _text(value)) for name, value in resource.items() if name not in ("schemas", "emails", "meta"))


def print_several(resources: Sequence[Resource], columns: Sequence[str]) -> None:
    """A table of these attributes."""
    print_table(
        [column.upper() for column in columns],
        ([_text(resource.get(column)) for column in columns] for resource in resources),
    )


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(one.get("display") or one.get("value")) for one in value)
    if isinstance(value, Mapping):
        return " ".join(str(one) for one in value.values())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)
