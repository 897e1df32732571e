"""OAuth: discovery, tokens, logins; the secrets of service principals, the keys of tokens, the audit log."""

from __future__ import annotations

from urllib.parse import urlencode

from tests.wire.access.table.rows import ADMINS, FORM, OPEN, Row, Section

OIDC = "/oidc"
KEYS = "/api/2.0/oauth/signing-keys"
FORM_OF_CLIENT = {"grant_type": "client_credentials", "client_id": "{client_id}", "client_secret": "{client_secret}"}
PROGRAM = {
    "response_type": "code",
    "client_id": "databricks-cli",
    "redirect_uri": "http://localhost:8020",
    "state": "s",
    "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
    "code_challenge_method": "S256",
}
ACCOUNTS = "/api/2.0/accounts"
SECRETS = "/servicePrincipals/{principal_id}/credentials/secrets"

SECTION = Section(
    "OAuth and logins",
    "These ask nobody who they are: they give out tokens for secrets, and the pages of people go by the session cookie of a browser. "
    "Here nobody has one: pages send to the login, and forms that come from no page of ours are refused.",
    (
        Row("GET", OIDC + "/.well-known/oauth-authorization-server", OPEN),
        Row("GET", OIDC + "/.well-known/openid-configuration", OPEN),
        Row("GET", OIDC + "/accounts/{account_id}/.well-known/oauth-authorization-server", OPEN),
        Row("GET", OIDC + "/jwks.json", OPEN),
        Row("POST", OIDC + "/v1/token", OPEN, body={FORM: FORM_OF_CLIENT}),
        Row("GET", OIDC + "/v1/authorize", OPEN, f"{OIDC}/v1/authorize?{urlencode(PROGRAM)}", ok=303),
        Row("POST", OIDC + "/v1/authorize", OPEN, body={FORM: PROGRAM}, ok=403),
        Row("GET", "/login", OPEN),
        Row("POST", "/login", OPEN, body={FORM: {"token": "x"}}, ok=403),
        Row("GET", "/login/callback", OPEN, ok=403),
        Row("GET", "/logout", OPEN),
        Row("POST", "/logout", OPEN, ok=403),
    ),
)

ADMINISTRATION = Section(
    "Secrets of service principals, keys of tokens, audit log",
    "For administrators.",
    (
        *(
            row
            for prefix in (ACCOUNTS, ACCOUNTS + "/{account_id}")
            for row in (
                Row("POST", prefix + SECRETS, ADMINS, prefix + SECRETS.replace("{p", "{new_p"), {}),
                Row("GET", prefix + SECRETS, ADMINS, prefix + SECRETS),
                Row(
                    "DELETE",
                    prefix + SECRETS + "/{secret_id}",
                    ADMINS,
                    prefix + SECRETS.replace("{p", "{new_p") + "/{new_secret_id}",
                ),
            )
        ),
        Row("GET", KEYS, ADMINS),
        Row("POST", KEYS + "/rotate", ADMINS, body={}),
        Row("GET", "/api/2.0/audit/events", ADMINS),
    ),
)
