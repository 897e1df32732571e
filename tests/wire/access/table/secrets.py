"""Secret scopes."""

from __future__ import annotations

from tests.wire.access.table.rows import ANYBODY, TO_MANAGE, TO_QUERY, TO_VIEW, Row, Section

SECRETS = "/api/2.0/secrets"
SCOPE = {"scope": "{scope}"}
TO_READ, TO_WRITE = TO_VIEW, TO_QUERY

SECTION = Section(
    "Secrets",
    "On the scope, *manager* has MANAGE, *querier* WRITE, *viewer* READ.",
    (
        Row("POST", SECRETS + "/scopes/create", ANYBODY, body={"scope": "{new_name}"}),
        Row("POST", SECRETS + "/scopes/delete", TO_MANAGE, body={"scope": "{new_scope}"}),
        Row("GET", SECRETS + "/scopes/list", ANYBODY),
        Row("POST", SECRETS + "/put", TO_WRITE, body=SCOPE | {"key": "another", "string_value": "x"}),
        Row("POST", SECRETS + "/delete", TO_WRITE, body={"scope": "{new_scope}", "key": "{key}"}),
        Row("GET", SECRETS + "/list", TO_READ, SECRETS + "/list?scope={scope}"),
        Row("GET", SECRETS + "/get", TO_READ, SECRETS + "/get?scope={scope}&key={key}"),
        Row(
            "POST",
            SECRETS + "/acls/put",
            TO_MANAGE,
            body=SCOPE | {"principal": "{viewer_name}", "permission": "READ"},
        ),
        Row(
            "POST",
            SECRETS + "/acls/delete",
            TO_MANAGE,
            body={"scope": "{new_scope}", "principal": "{viewer_name}"},
        ),
        Row("GET", SECRETS + "/acls/get", TO_MANAGE, SECRETS + "/acls/get?scope={scope}&principal={viewer_name}"),
        Row("GET", SECRETS + "/acls/list", TO_MANAGE, SECRETS + "/acls/list?scope={scope}"),
    ),
)
