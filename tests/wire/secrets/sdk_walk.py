"""Every method of `w.secrets`, as a user's script calls them; prints what it saw. Runs in the client's environment."""

from __future__ import annotations

import base64
import json
import os

from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import (
    AlreadyExists,
    BadRequest,
    DatabricksError,
    InvalidParameterValue,
    NotFound,
    PermissionDenied,
    ResourceAlreadyExists,
    ResourceDoesNotExist,
)
from databricks.sdk.service.serving import EndpointCoreConfigInput, ServedEntityInput
from databricks.sdk.service.workspace import AclPermission, AzureKeyVaultSecretScopeMetadata, ScopeBackendType


def refused(kind, code, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except DatabricksError as error:
        assert isinstance(error, kind), (type(error), error)
        assert error.error_code == code, (error.error_code, error)
        return str(error)
    raise AssertionError(f"{call} {arguments} {named} was not refused")


def as_manager(w):
    w.secrets.create_scope("team")
    refused((ResourceAlreadyExists, AlreadyExists), "RESOURCE_ALREADY_EXISTS", w.secrets.create_scope, "Team")
    refused(InvalidParameterValue, "INVALID_PARAMETER_VALUE", w.secrets.create_scope, "not a name")
    vault = AzureKeyVaultSecretScopeMetadata(resource_id="/subscriptions/x", dns_name="https://x.vault.azure.net/")
    told = refused(
        BadRequest, "INVALID_PARAMETER_VALUE", w.secrets.create_scope, "azure",
        scope_backend_type=ScopeBackendType.AZURE_KEYVAULT, backend_azure_keyvault=vault,
    )  # fmt: skip
    assert "/api/2.0/secrets/put" in told
    w.secrets.create_scope("ours", initial_manage_principal="users", scope_backend_type=ScopeBackendType.DATABRICKS)
    assert [(scope.name, scope.backend_type) for scope in w.secrets.list_scopes()] == [
        ("ours", ScopeBackendType.DATABRICKS), ("team", ScopeBackendType.DATABRICKS),
    ]  # fmt: skip

    w.secrets.put_secret("team", "text", string_value="wört")
    w.secrets.put_secret("team", "bytes", bytes_value=base64.b64encode(b"\x00\xff").decode())
    listed = list(w.secrets.list_secrets("team"))
    assert [one.key for one in listed] == ["bytes", "text"] and listed[0].last_updated_timestamp > 1_600_000_000_000
    assert base64.b64decode(w.secrets.get_secret("team", "text").value).decode() == "wört"
    assert base64.b64decode(w.secrets.get_secret("TEAM", "bytes").value) == b"\x00\xff"
    assert w.dbutils.secrets.get("team", "text") == "wört"
    assert w.dbutils.secrets.getBytes("team", "bytes") == b"\x00\xff"
    assert [one.key for one in w.dbutils.secrets.list("team")] == ["bytes", "text"]
    refused(
        DatabricksError, "MALFORMED_REQUEST", w.secrets.put_secret, "team", "x", string_value="a", bytes_value="Yg=="
    )
    refused(DatabricksError, "MALFORMED_REQUEST", w.secrets.put_secret, "team", "x", bytes_value="?")
    refused(InvalidParameterValue, "INVALID_PARAMETER_VALUE", w.secrets.put_secret, "team", "x")
    refused(InvalidParameterValue, "INVALID_PARAMETER_VALUE", w.secrets.put_secret, "team", "a/b", string_value="")
    refused(
        InvalidParameterValue, "INVALID_PARAMETER_VALUE", w.secrets.put_secret, "team", "x", string_value="x" * 131073
    )
    refused((ResourceDoesNotExist, NotFound), "RESOURCE_DOES_NOT_EXIST", w.secrets.get_secret, "team", "nosuch")

    w.secrets.put_acl("team", "bob", AclPermission.READ)
    w.secrets.put_acl("team", "users", AclPermission.READ)
    w.secrets.put_acl("team", "bob", AclPermission.WRITE)
    assert w.secrets.get_acl("team", "bob").permission is AclPermission.WRITE
    assert {acl.principal: acl.permission for acl in w.secrets.list_acls("team")} == {
        "ada": AclPermission.MANAGE, "bob": AclPermission.WRITE, "users": AclPermission.READ,
    }  # fmt: skip
    w.secrets.delete_acl("team", "users")
    refused((ResourceDoesNotExist, NotFound), "RESOURCE_DOES_NOT_EXIST", w.secrets.get_acl, "team", "users")
    refused((ResourceDoesNotExist, NotFound), "RESOURCE_DOES_NOT_EXIST", w.secrets.delete_acl, "team", "users")
    refused(
        InvalidParameterValue, "INVALID_PARAMETER_VALUE", w.secrets.put_acl, "team", "nobody-there", AclPermission.READ
    )


def as_endpoint_creator(w):
    """References in environment variables; the answer shows the reference, never the value."""
    entity = ServedEntityInput(
        entity_name="main.default.churn", entity_version="1", workload_size="Small", scale_to_zero_enabled=True,
        environment_vars={"URL": "db://{{secrets/team/text}}@host", "PLAIN": "1"},
    )  # fmt: skip
    w.serving_endpoints.create(
        "with-secret", config=EndpointCoreConfigInput(name="with-secret", served_entities=[entity])
    )
    shown = w.serving_endpoints.get("with-secret")
    assert (shown.pending_config or shown.config).served_entities[0].environment_vars == entity.environment_vars
    entity.environment_vars = {"URL": "{{secrets/team/gone}}"}
    told = refused(
        (ResourceDoesNotExist, NotFound), "RESOURCE_DOES_NOT_EXIST",
        w.serving_endpoints.create, "x", config=EndpointCoreConfigInput(name="x", served_entities=[entity]),
    )  # fmt: skip
    assert "scope: team and key: gone" in told and "URL" in told


def as_writer(w):
    assert [scope.name for scope in w.secrets.list_scopes()] == ["ours", "team"]
    w.secrets.put_secret("team", "text", string_value="by bob")
    w.secrets.delete_secret("team", "text")
    refused((ResourceDoesNotExist, NotFound), "RESOURCE_DOES_NOT_EXIST", w.secrets.delete_secret, "team", "text")
    told = refused(PermissionDenied, "PERMISSION_DENIED", w.secrets.delete_scope, "team")
    assert "It takes MANAGE" in told
    refused(PermissionDenied, "PERMISSION_DENIED", w.secrets.list_acls, "team")


def as_stranger(w):
    assert [scope.name for scope in w.secrets.list_scopes()] == ["ours"]
    for scope in ("team", "nosuch"):
        told = refused((ResourceDoesNotExist, NotFound), "RESOURCE_DOES_NOT_EXIST", w.secrets.list_secrets_of, scope)
        assert told == f"Scope {scope} does not exist!"


def main():
    host = os.environ["DATABRICKS_HOST"]
    clients = {
        name: WorkspaceClient(host=host, token=token) for name, token in json.loads(os.environ["TOKENS"]).items()
    }
    stranger = clients["eve"]
    stranger.secrets.list_secrets_of = lambda scope: list(stranger.secrets.list_secrets(scope))
    as_manager(clients["ada"])
    as_endpoint_creator(clients["ada"])
    as_writer(clients["bob"])
    as_stranger(stranger)
    clients["ada"].secrets.delete_scope("team")
    clients["eve"].secrets.delete_scope("ours")
    assert list(clients["ada"].secrets.list_scopes()) == []
    print(json.dumps("walked"))


main()
