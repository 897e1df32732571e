"""Personal access tokens: one's own (`/api/2.0/token/*`), and everybody's for administrators (`/api/2.0/token-management/*`).

A token's value is in the answer that creates it and nowhere else. When an answer is out, what it says is so on every server process.
"""

from __future__ import annotations

import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query
from pydantic import BaseModel, Field

from headgate import errors
from headgate.access.directory import Directory
from headgate.access.principals import new_token
from headgate.api.dependencies import ApiDependencies, Caller, Given, Visit, Visiting
from headgate.api.identity.rights import require_admin
from headgate.api.in_force import wait_until_known
from headgate.domain.identity import AccessToken, User

MOST = 600
"""Tokens that one principal may have."""
LONGEST_S = 2 * 365 * 86400
"""Lifetime of a token for which none is asked, and the longest."""

MAX_COMMENT_CHARACTERS = 1000
_DAY_MS = 86_400_000


class NewToken(BaseModel):
    """A token that is wanted."""

    comment: str = ""
    lifetime_seconds: int | None = Field(None, gt=0, le=LONGEST_S)
    scopes: list[str] | None = None
    autoscope_enabled: bool | None = None


class NewTokenOf(NewToken):
    """The same for somebody else: a service principal or, as an extension, a user who cannot log in to make one."""

    application_id: str = ""
    user_name: str = ""


class TokenId(BaseModel):
    """Names a token."""

    token_id: str


def routes() -> APIRouter:
    """The family."""
    router = APIRouter(prefix="/api/2.0", tags=["identity"])
    router.post("/token/create")(create_token)
    router.get("/token/list")(list_own_tokens)
    router.post("/token/delete")(revoke_own_token)
    router.patch("/token/{token_id}")(describe_own_token)
    router.get("/token-management/tokens")(list_all_tokens)
    router.get("/token-management/tokens/{token_id}")(get_token)
    router.delete("/token-management/tokens/{token_id}")(revoke_token)
    router.post("/token-management/on-behalf-of/tokens")(create_token_for)
    return router


def create_token(visit: Visiting, wanted: NewToken) -> dict[str, Any]:
    """A token of the caller's own."""
    value, token = _add(visit, wanted, visit.caller.id)
    return {"token_value": value, "token_info": _own(token)}


def list_own_tokens(caller: Caller, dependencies: Given) -> dict[str, Any]:
    """The caller's tokens that are good for something."""
    now_ms = dependencies.clock.now_ms()
    mine = [token for token in dependencies.identities.tokens(caller.id) if not token.has_expired(now_ms)]
    return {"token_infos": [_own(token) for token in mine]}


def revoke_own_token(visit: Visiting, body: TokenId) -> dict[str, Any]:
    """Ends one of the caller's tokens; an administrator's call, anybody's."""
    return _revoke(visit, _find(visit.dependencies, body.token_id, None if visit.caller.admin else visit.caller.id))


def describe_own_token(
    token_id: str, caller: Caller, dependencies: Given, body: Annotated[dict[str, Any], Body()]
) -> dict[str, Any]:
    """Changes the comment of one of the caller's tokens."""
    token = body.get("token")
    comment = token.get("comment") if isinstance(token, dict) else None
    if not isinstance(comment, str):
        raise errors.InvalidParameterValue("token.comment is required: it is all that can be changed.")
    _check_comment(comment)
    _find(dependencies, token_id, caller.id)
    dependencies.identities.describe_token(token_id, comment)
    return {}


def list_all_tokens(
    caller: Caller,
    dependencies: Given,
    created_by_id: Annotated[str, Query()] = "",
    created_by_username: Annotated[str, Query()] = "",
) -> dict[str, Any]:
    """Everybody's tokens, or those that one user created."""
    require_admin(caller, "see tokens of others")
    directory = dependencies.directory()
    shown = [_managed(token, directory, dependencies) for token in dependencies.identities.tokens()]
    if created_by_id:
        shown = [one for one in shown if str(one["created_by_id"]) == created_by_id]
    if created_by_username:
        shown = [one for one in shown if one["created_by_username"].casefold() == created_by_username.casefold()]
    return {"token_infos": shown}


def get_token(token_id: str, caller: Caller, dependencies: Given) -> dict[str, Any]:
    """One token, whoever's."""
    require_admin(caller, "see tokens of others")
    token = _find(dependencies, token_id)
    return {"token_info": _managed(token, dependencies.directory(), dependencies)}


def revoke_token(token_id: str, visit: Visiting) -> dict[str, Any]:
    """Ends one token, whoever's."""
    require_admin(visit.caller, "revoke tokens of others")
    return _revoke(visit, _find(visit.dependencies, token_id))


def create_token_for(visit: Visiting, wanted: NewTokenOf) -> dict[str, Any]:
    """A token for a service principal or another user."""
    require_admin(visit.caller, "create tokens on behalf of others")
    if bool(wanted.application_id) == bool(wanted.user_name):
        raise errors.InvalidParameterValue(
            "Exactly one of application_id and user_name is required: whose token it is."
        )
    directory = visit.dependencies.directory()
    owner = directory.by_user_name(wanted.user_name) or directory.by_application_id(wanted.application_id)
    if owner is None:
        who = f"User {wanted.user_name}" if wanted.user_name else f"Service principal {wanted.application_id}"
        raise errors.ResourceDoesNotExist(f"{who} does not exist.")
    value, token = _add(visit, wanted, owner.id)
    return {"token_value": value, "token_info": _managed(token, directory, visit.dependencies)}


def _add(visit: Visit, wanted: NewToken, owner_id: str) -> tuple[str, AccessToken]:
    if wanted.autoscope_enabled or set(wanted.scopes or ()) - {"all-apis"}:
        raise errors.InvalidParameterValue(
            "Scopes of tokens are not supported here: they would not be enforced. Leave them out."
        )
    _check_comment(wanted.comment)
    dependencies = visit.dependencies
    value, now_ms = new_token(), dependencies.clock.now_ms()
    token = AccessToken(
        id=secrets.token_hex(32),
        digest=dependencies.authenticator.digest(value),
        principal_id=owner_id,
        created_by_id=visit.caller.id,
        created_at_ms=now_ms,
        comment=wanted.comment,
        expires_at_ms=now_ms + 1000 * (wanted.lifetime_seconds or LONGEST_S),
    )
    visit.request.state.audit_object = _told(token)
    dependencies.identities.add_token(token, MOST)
    wait_until_known(dependencies)
    return value, token


def _check_comment(comment: str) -> None:
    if len(comment) > MAX_COMMENT_CHARACTERS or not comment.isprintable():
        raise errors.InvalidParameterValue(f"comment must be up to {MAX_COMMENT_CHARACTERS} printable characters.")


def _find(dependencies: ApiDependencies, token_id: str, owner_id: str | None = None) -> AccessToken:
    """Raises ResourceDoesNotExist, also when it is not that owner's."""
    for token in dependencies.identities.tokens(owner_id):
        if token.id == token_id:
            return token
    raise errors.ResourceDoesNotExist(f"Token with ID {token_id} does not exist.")


def _revoke(visit: Visit, token: AccessToken) -> dict[str, Any]:
    if token.id == visit.dependencies.admin_token_id:
        raise errors.InvalidParameterValue(
            "The first administrator's token is set at every start: put another one into data_dir/admin-token or "
            "HEADGATE_ADMIN_TOKEN and start again."
        )
    visit.request.state.audit_object = _told(token)
    visit.dependencies.identities.revoke_token(token.id)
    wait_until_known(visit.dependencies)
    return {}


def _told(token: AccessToken) -> str:
    """For the audit log."""
    return f"{token.id} of {token.principal_id}"


def _own(token: AccessToken) -> dict[str, Any]:
    return {
        "token_id": token.id,
        "creation_time": token.created_at_ms,
        "expiry_time": -1 if token.expires_at_ms is None else token.expires_at_ms,
        "comment": token.comment,
    }


def _managed(token: AccessToken, directory: Directory, dependencies: ApiDependencies) -> dict[str, Any]:
    creator = directory.by_id(token.created_by_id)
    name = creator.user_name if isinstance(creator, User) else "" if creator is None else creator.display_name
    used = {} if token.last_used_at_ms is None else {"last_used_day": token.last_used_at_ms // _DAY_MS * _DAY_MS}
    return {
        **_own(token),
        "created_by_id": int(token.created_by_id),
        "created_by_username": name,
        "owner_id": int(token.principal_id),
        "workspace_id": int(dependencies.workspace_id),
        **used,
    }
