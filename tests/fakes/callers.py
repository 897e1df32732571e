"""Callers for tests of any room: users, service principals and groups, made as an administrator does it, over the REST API.

`ask(method, path, body) -> parsed answer` is a call with an administrator's token; `over_http(url, token)` makes one, and
`ApiHouse` has one (`house.as_admin`).
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

SCIM = "/api/2.0/preview/scim/v2"

Ask = Callable[[str, str, Any], Any]


@dataclass(frozen=True)
class Caller:
    """Somebody with a token."""

    id: str
    name: str
    """User name, or application id."""
    token: str


def over_http(url: str, token: str) -> Ask:
    """Calls to a running server. Raises AssertionError for any answer but success."""

    def ask(method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        raw = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url + path, data=raw, headers=headers, method=method)
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
                content = answer.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from None
        return json.loads(content) if content else {}

    return ask


def user(ask: Ask, name: str, groups: Iterable[str] = ()) -> Caller:
    """A new user in these groups (ids), with a token."""
    into = [{"value": group} for group in groups]
    made = ask("POST", f"{SCIM}/Users", {"userName": name, "groups": into})
    return Caller(made["id"], name, token_of(ask, made["id"], name))


def administrator(ask: Ask, name: str) -> Caller:
    """A new user in the group admins, with a token."""
    return user(ask, name, ["2"])


def service_principal(ask: Ask, display_name: str, groups: Iterable[str] = ()) -> Caller:
    """A new service principal in these groups (ids), with a token."""
    into = [{"value": group} for group in groups]
    made = ask("POST", f"{SCIM}/ServicePrincipals", {"displayName": display_name, "groups": into})
    name = made["applicationId"]
    given = ask("POST", "/api/2.0/token-management/on-behalf-of/tokens", {"application_id": name})
    return Caller(made["id"], name, given["token_value"])


def group(ask: Ask, name: str, members: Iterable[str] = ()) -> str:
    """A new group of these members (ids); its id."""
    into = [{"value": member} for member in members]
    return str(ask("POST", f"{SCIM}/Groups", {"displayName": name, "members": into})["id"])


def token_of(ask: Ask, user_id: str, name: str) -> str:
    """A token for a user that an administrator made."""
    given = ask("POST", "/api/2.0/token-management/on-behalf-of/tokens", {"user_name": name})
    return str(given["token_value"])
