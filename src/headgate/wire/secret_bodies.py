"""Bodies of the secrets API. Unknown fields are ignored, as the real backend does. No value is ever part of a validation message."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from headgate.wire.endpoint_input import Text


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class CreateScope(_Body):
    scope: Text = Field(examples=["my-scope"])
    initial_manage_principal: Text | None = None
    scope_backend_type: Text | None = None
    backend_azure_keyvault: dict[str, Any] | None = None


class NamedScope(_Body):
    scope: Text


class PutSecret(_Body):
    scope: Text
    key: Text
    string_value: str | None = None
    bytes_value: str | None = None
    """base64"""


class NamedSecret(_Body):
    scope: Text
    key: Text


class PutAcl(_Body):
    scope: Text
    principal: Text
    """User name, group name, or a service principal's application id."""
    permission: Text


class NamedAcl(_Body):
    scope: Text
    principal: Text


class Scope(BaseModel):
    name: str
    backend_type: str = "DATABRICKS"


class Scopes(BaseModel):
    scopes: list[Scope]


class Metadata(BaseModel):
    key: str
    last_updated_timestamp: int


class Secrets(BaseModel):
    secrets: list[Metadata]


class Value(BaseModel):
    key: str
    value: str
    """base64"""


class Acl(BaseModel):
    principal: str
    permission: str


class Acls(BaseModel):
    items: list[Acl]
    acls: list[Acl]
    """The same: some clients read this one."""


class Nothing(BaseModel):
    """`{}`"""
