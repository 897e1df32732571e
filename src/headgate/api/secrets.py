"""`/api/2.0/secrets`: scopes, secrets and who may do what with them. Rules lie in `access.secrets`; no value is ever logged here."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request

from headgate.access.directory import Directory
from headgate.api.dependencies import Caller, Given
from headgate.domain import secret_rules
from headgate.domain.grants import Held
from headgate.domain.identity import USERS_ID, Group, User
from headgate.domain.secret_references import SecretReference
from headgate.errors import InvalidParameterValue, MalformedRequest, ResourceDoesNotExist
from headgate.wire import secret_bodies as wire

PREFIX = "/api/2.0/secrets"


def routes() -> APIRouter:
    """The family."""
    router = APIRouter(prefix=PREFIX, tags=["secrets"])
    router.post("/scopes/create")(create_scope)
    router.post("/scopes/delete")(delete_scope)
    router.get("/scopes/list")(list_scopes)
    router.post("/put")(put_secret)
    router.post("/delete")(delete_secret)
    router.get("/list")(list_secrets)
    router.get("/get")(get_secret)
    router.post("/acls/put")(put_acl)
    router.post("/acls/delete")(delete_acl)
    router.get("/acls/get")(get_acl)
    router.get("/acls/list")(list_acls)
    return router


def create_scope(body: wire.CreateScope, dependencies: Given, caller: Caller, request: Request) -> wire.Nothing:
    """Create a secret scope; its creator gets MANAGE."""
    _note(request, body.scope)
    _check_backend(body)
    if body.initial_manage_principal not in (None, "users"):
        raise InvalidParameterValue(
            "initial_manage_principal can only be the group users. Leave it out to be the only one who may manage the scope."
        )
    dependencies.vault.create_scope(body.scope, USERS_ID if body.initial_manage_principal else caller.id)
    return wire.Nothing()


def delete_scope(body: wire.NamedScope, dependencies: Given, caller: Caller, request: Request) -> wire.Nothing:
    """Delete a secret scope and everything in it."""
    _note(request, body.scope)
    dependencies.vault.delete_scope(caller, body.scope)
    return wire.Nothing()


def list_scopes(dependencies: Given, caller: Caller) -> wire.Scopes:
    """List the secret scopes the caller may read."""
    return wire.Scopes(scopes=[wire.Scope(name=scope.name) for scope in dependencies.vault.scopes(caller)])


def put_secret(body: wire.PutSecret, dependencies: Given, caller: Caller, request: Request) -> wire.Nothing:
    """Write a secret, over one of the same key."""
    _note(request, body.scope, body.key)
    dependencies.vault.put(caller, SecretReference(body.scope, body.key), _value(body))
    return wire.Nothing()


def delete_secret(body: wire.NamedSecret, dependencies: Given, caller: Caller, request: Request) -> wire.Nothing:
    """Delete a secret."""
    _note(request, body.scope, body.key)
    dependencies.vault.delete(caller, SecretReference(body.scope, body.key))
    return wire.Nothing()


def list_secrets(scope: str, dependencies: Given, caller: Caller) -> wire.Secrets:
    """List the keys of a scope, without values."""
    found = dependencies.vault.secrets(caller, scope)
    return wire.Secrets(secrets=[wire.Metadata(key=one.key, last_updated_timestamp=one.updated_at_ms) for one in found])


def get_secret(scope: str, key: str, dependencies: Given, caller: Caller) -> wire.Value:
    """Read a secret's value, as base64."""
    value = dependencies.vault.read(caller, SecretReference(scope, key))
    return wire.Value(key=key, value=base64.b64encode(value).decode())


def put_acl(body: wire.PutAcl, dependencies: Given, caller: Caller, request: Request) -> wire.Nothing:
    """Give a user, group or service principal a permission on a scope, in place of the one it had."""
    _note(request, body.scope)
    dependencies.vault.require(caller, body.scope, secret_rules.MANAGE)
    grantee = _id_of(dependencies.directory(), body.principal)
    if grantee is None:
        raise InvalidParameterValue(
            f"There is no user, group or service principal {body.principal[:200]!r}: give a user name, a group's name or an application id."
        )
    dependencies.vault.grant(caller, body.scope, grantee, body.permission)
    return wire.Nothing()


def delete_acl(body: wire.NamedAcl, dependencies: Given, caller: Caller, request: Request) -> wire.Nothing:
    """Take a principal's permission on a scope away."""
    _note(request, body.scope)
    dependencies.vault.require(caller, body.scope, secret_rules.MANAGE)
    grantee = _id_of(dependencies.directory(), body.principal)
    if grantee is None or not dependencies.vault.grant(caller, body.scope, grantee, None):
        raise _no_acl(body.scope, body.principal)
    return wire.Nothing()


def get_acl(scope: str, principal: str, dependencies: Given, caller: Caller) -> wire.Acl:
    """Read a principal's permission on a scope."""
    held = dependencies.vault.permissions(caller, scope)
    directory = dependencies.directory()
    grantee = _id_of(directory, principal)
    if grantee is None or grantee not in held:
        raise _no_acl(scope, principal)
    [acl] = _acls({grantee: held[grantee]}, directory)
    return acl


def list_acls(scope: str, dependencies: Given, caller: Caller) -> wire.Acls:
    """List who may do what with a scope."""
    found = _acls(dependencies.vault.permissions(caller, scope), dependencies.directory())
    return wire.Acls(items=found, acls=found)


def _note(request: Request, *names: str) -> None:
    """For the audit log: what it is about."""
    request.state.audit_object = "/".join(("secret-scope", *(name[:128] for name in names)))


def _check_backend(body: wire.CreateScope) -> None:
    backend = (body.scope_backend_type or "DATABRICKS").upper()
    if backend == "AZURE_KEYVAULT" or body.backend_azure_keyvault is not None:
        raise InvalidParameterValue(
            "Scopes backed by Azure Key Vault are not supported: this server keeps secrets itself, encrypted. "
            "Create the scope without scope_backend_type and put the values in with /api/2.0/secrets/put."
        )
    if backend != "DATABRICKS":
        raise InvalidParameterValue("scope_backend_type is unknown; use DATABRICKS, or leave it out.")


def _value(body: wire.PutSecret) -> bytes:
    if body.string_value is not None and body.bytes_value is not None:
        raise MalformedRequest("Give either string_value or bytes_value, not both.")
    try:
        if body.string_value is not None:
            return body.string_value.encode()
        if body.bytes_value is not None:
            return base64.b64decode(body.bytes_value, validate=True)
    except UnicodeEncodeError:
        raise MalformedRequest("string_value contains half a character (a lone surrogate).") from None
    except (binascii.Error, ValueError):
        raise MalformedRequest("bytes_value is not valid base64.") from None
    raise InvalidParameterValue("Give the secret's value as string_value, or as base64 in bytes_value.")


def _id_of(directory: Directory, name: str) -> str | None:
    lookups: tuple[Callable[[str], Any], ...] = (
        directory.by_user_name, directory.by_group_name, directory.by_application_id,
    )  # fmt: skip
    found = (lookup(name) for lookup in lookups)
    return next((one.id for one in found if one is not None), None)


def _acls(held: Held, directory: Directory) -> list[wire.Acl]:
    """Named and sorted; of a principal that is gone, nothing."""
    named = ((_name_of(directory, grantee), secret_rules.most(permissions)) for grantee, permissions in held.items())
    return [wire.Acl(principal=name, permission=most) for name, most in sorted(named) if name and most]


def _name_of(directory: Directory, grantee: str) -> str:
    found = directory.by_id(grantee)
    if found is None:
        return ""
    if isinstance(found, User):
        return found.user_name
    return found.display_name if isinstance(found, Group) else found.application_id


def _no_acl(scope: str, principal: str) -> ResourceDoesNotExist:
    return ResourceDoesNotExist(f"Principal {principal[:200]} has no permission of its own on scope {scope}.")
