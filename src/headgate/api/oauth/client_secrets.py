"""Secrets of service principals, at the two addresses that workspace and account clients use. For administrators."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from headgate import errors
from headgate.access.oauth.server import AuthorizationServer
from headgate.api.dependencies import Visit, Visiting
from headgate.domain.identity import ServicePrincipal
from headgate.store.oauth.client_secrets import ClientSecret
from headgate.wire.endpoint_input import Text

_PATH = "/servicePrincipals/{principal_id}/credentials/secrets"
_PREFIXES = {"": "/api/2.0/accounts", "account_": "/api/2.0/accounts/{account_id}"}


class NewSecretInput(BaseModel):
    """`lifetime` in seconds, such as `86400s`; at most, and by default, two years."""

    model_config = ConfigDict(extra="ignore")

    lifetime: Text | None = None
    scopes: list[Text] | None = None


class ClientSecrets:
    """The handlers."""

    def __init__(self, server: AuthorizationServer) -> None:
        self._server = server

    def create(self, principal_id: str, visit: Visiting, body: NewSecretInput | None = None) -> dict[str, Any]:
        """Make a secret for a service principal; its value is shown this once."""
        found = _principal(visit, principal_id)
        if body is not None and set(body.scopes or ()) - {"all-apis"}:
            raise errors.InvalidParameterValue(
                "scopes other than all-apis are not supported: they would not be enforced."
            )
        new = self._server.secrets.create(found.id, None if body is None else body.lifetime)
        return {**_shown(new.stored, new.stored.created_at_ms), "secret": new.value}

    def show_all(self, principal_id: str, visit: Visiting) -> dict[str, Any]:
        """List a service principal's secrets, without their values."""
        found = _principal(visit, principal_id)
        now_ms = visit.dependencies.clock.now_ms()
        return {"secrets": [_shown(secret, now_ms) for secret in self._server.secrets.of(found.id)]}

    def delete(self, principal_id: str, secret_id: str, visit: Visiting) -> dict[str, Any]:
        """Delete a secret: it gets no token any more."""
        self._server.secrets.delete(_principal(visit, principal_id).id, secret_id)
        return {}


def routes(server: AuthorizationServer) -> APIRouter:
    """The family."""
    router, handlers = APIRouter(tags=["service principal secrets"]), ClientSecrets(server)
    for name, prefix in _PREFIXES.items():
        router.post(prefix + _PATH, name=f"{name}create_secret")(handlers.create)
        router.get(prefix + _PATH, name=f"{name}list_secrets")(handlers.show_all)
        router.delete(prefix + _PATH + "/{secret_id}", name=f"{name}delete_secret")(handlers.delete)
    return router


def _principal(visit: Visit, principal_id: str) -> ServicePrincipal:
    if not visit.caller.admin:
        raise errors.PermissionDenied("Only administrators can see and change the secrets of service principals.")
    found = visit.dependencies.directory().by_id(principal_id)
    if not isinstance(found, ServicePrincipal):
        raise errors.ResourceDoesNotExist(
            f"There is no service principal with id {principal_id}. It is the id in SCIM, not the application id."
        )
    visit.request.state.audit_object = found.application_id
    return found


def _shown(secret: ClientSecret, now_ms: int) -> dict[str, Any]:
    created, expires = _time(secret.created_at_ms), _time(secret.expires_at_ms)
    status = "ACTIVE" if now_ms < secret.expires_at_ms else "EXPIRED"
    return {"id": secret.id, "status": status, "create_time": created, "update_time": created, "expire_time": expires}


def _time(at_ms: int) -> str:
    moment = datetime.fromtimestamp(at_ms / 1000, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
