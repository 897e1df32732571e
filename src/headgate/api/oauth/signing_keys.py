"""Which keys sign tokens, and replacing them (`headgate oauth rotate-keys`). For administrators."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, StrictBool

from headgate import errors
from headgate.access.oauth.server import AuthorizationServer
from headgate.access.principals import Principal
from headgate.api.dependencies import Caller, Given

PATH = "/api/2.0/oauth/signing-keys"


class RotateInput(BaseModel):
    """`forget_old`: no token signed until now is good any more; for a key that leaked."""

    model_config = ConfigDict(extra="ignore")

    forget_old: StrictBool = False


class SigningKeys:
    """The handlers."""

    def __init__(self, server: AuthorizationServer) -> None:
        self._server = server

    def show_all(self, dependencies: Given, caller: Caller) -> dict[str, Any]:
        """List the keys of tokens, without what is private."""
        _check(caller)
        return self._shown(dependencies.clock.now_ms())

    def rotate(self, dependencies: Given, caller: Caller, body: RotateInput | None = None) -> dict[str, Any]:
        """Let a new key sign tokens. The old ones verify until the last token they signed has expired."""
        _check(caller)
        self._server.trust.rotate(forget_old=body is not None and body.forget_old)
        return self._shown(dependencies.clock.now_ms())

    def _shown(self, now_ms: int) -> dict[str, Any]:
        keys = self._server.trust.now()
        signing = keys.signing(now_ms)
        shown = []
        for key in keys.keys:
            state = "SIGNING" if key is signing else "WAITING" if key.signs_from_ms > now_ms else "VERIFYING"
            one: dict[str, Any] = {"id": key.id, "state": state, "signs_from": key.signs_from_ms}
            shown.append(one if key.expires_at_ms is None else {**one, "expires_at": key.expires_at_ms})
        return {"keys": shown}


def routes(server: AuthorizationServer) -> APIRouter:
    """The family."""
    router, handlers = APIRouter(tags=["authorization"]), SigningKeys(server)
    router.get(PATH, name="list_signing_keys")(handlers.show_all)
    router.post(f"{PATH}/rotate", name="rotate_signing_keys")(handlers.rotate)
    return router


def _check(caller: Principal) -> None:
    if not caller.admin:
        raise errors.PermissionDenied("Only administrators can see and replace the keys of tokens.")
