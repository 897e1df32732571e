"""Users, groups, service principals and personal access tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.wire.access.table.rows import ADMINS, ANYBODY, HIDDEN, OK, Row, Rule, Section

SCIM = "/api/2.0/preview/scim/v2"
TOKEN = "/api/2.0/token"
TOKENS = "/api/2.0/token-management"
RENAME = {"Operations": [{"op": "replace", "path": "displayName", "value": "{new_name}"}]}
ONES_OWN = Rule(OK, HIDDEN, HIDDEN, HIDDEN, admin=HIDDEN)


def scim(kind: str, word: str, body: dict[str, Any]) -> Iterator[Row]:
    path, one = f"{SCIM}/{kind}", f"{SCIM}/{kind}/{{id}}"
    yield Row("GET", path, ANYBODY)
    yield Row("POST", path, ADMINS, body=body, ok=201)
    yield Row("GET", one, ANYBODY, f"{path}/{{{word}_id}}")
    yield Row("PUT", one, ADMINS, f"{path}/{{new_{word}_id}}", {"displayName": "{new_name}"})
    yield Row("PATCH", one, ADMINS, f"{path}/{{new_{word}_id}}", RENAME)
    yield Row("DELETE", one, ADMINS, f"{path}/{{new_{word}_id}}", ok=204)


PEOPLE = Section(
    "Users, groups, service principals",
    "Everybody may look; administrators change.",
    (
        Row("GET", SCIM + "/Me", ANYBODY),
        *scim("Users", "user", {"userName": "{new_name}"}),
        *scim("Groups", "group", {"displayName": "{new_name}"}),
        *scim("ServicePrincipals", "principal", {"displayName": "{new_name}"}),
    ),
)

OF_TOKENS = Section(
    "Personal access tokens",
    "The token is *manager*'s own.",
    (
        Row("POST", TOKEN + "/create", ANYBODY, body={"comment": "x"}),
        Row("GET", TOKEN + "/list", ANYBODY),
        Row(
            "POST",
            TOKEN + "/delete",
            Rule(OK, HIDDEN, HIDDEN, HIDDEN),
            body={"token_id": "{new_token_id}"},
        ),
        Row("PATCH", TOKEN + "/{token_id}", ONES_OWN, TOKEN + "/{token_id}", {"token": {"comment": "y"}}),
        Row("GET", TOKENS + "/tokens", ADMINS),
        Row("GET", TOKENS + "/tokens/{token_id}", ADMINS, TOKENS + "/tokens/{token_id}"),
        Row("DELETE", TOKENS + "/tokens/{token_id}", ADMINS, TOKENS + "/tokens/{new_token_id}"),
        Row("POST", TOKENS + "/on-behalf-of/tokens", ADMINS, body={"user_name": "{viewer_name}"}),
    ),
)
