"""Which secret is yours: scopes, their secrets and who may do what with them. Called by the API, and by control for the values that
a replica is started with. Never logs a value; a message names scope and key only.

Whoever has nothing on a scope is answered as if there were none of that name.
"""

from __future__ import annotations

import secrets as chance
import uuid
from collections.abc import Container, Mapping
from dataclasses import dataclass

from headgate import errors
from headgate.access.principals import Principal
from headgate.access.sealing import SealBroken, Sealer
from headgate.clock import Clock
from headgate.domain import secret_references, secret_rules
from headgate.domain.grants import Held
from headgate.domain.secret_references import SecretReference
from headgate.domain.secret_rules import MANAGE, READ, WRITE, Scope, Secret
from headgate.store.secrets import Secrets

_ABILITIES = {READ: "read", WRITE: "write", MANAGE: "manage"}


class SecretUnavailable(Exception):
    """A value that is needed right now cannot be had; the message names scope and key."""


@dataclass(frozen=True, slots=True)
class Vault:
    """Everything that is done with secrets. Thread-safe. Methods with a caller raise ResourceDoesNotExist and PermissionDenied."""

    store: Secrets
    sealer: Sealer
    clock: Clock

    def create_scope(self, name: str, manager: str) -> None:
        """A scope that `manager` (a principal's id) may MANAGE. Raises InvalidParameterValue, ResourceAlreadyExists, ResourceLimitExceeded."""
        secret_rules.check_scope_name(name)
        self.store.create_scope(Scope(uuid.uuid4().hex, name, self.clock.now_ms()), manager)

    def delete_scope(self, caller: Principal, scope: str) -> None:
        """With everything in it."""
        self.store.delete_scope(self.require(caller, scope, MANAGE))

    def scopes(self, caller: Principal) -> list[Scope]:
        """Those the caller has anything on."""
        return self.store.scopes(_grantees(caller))

    def put(self, caller: Principal, reference: SecretReference, value: bytes) -> None:
        """Writes a secret, over what was there. Raises InvalidParameterValue, ResourceLimitExceeded."""
        scope = self.require(caller, reference.scope, WRITE)
        secret_rules.check_key(reference.key)
        secret_rules.check_value(value)
        secret = Secret(reference.key, self.clock.now_ms(), chance.token_hex(8))
        self.store.put(scope, secret, lambda: self.sealer.seal(value, _context(scope, reference.key)))

    def delete(self, caller: Principal, reference: SecretReference) -> None:
        """Deletes a secret."""
        scope = self.require(caller, reference.scope, WRITE)
        if not (secret_rules.is_key(reference.key) and self.store.delete(scope, reference.key)):
            raise _no_secret(reference)

    def secrets(self, caller: Principal, scope: str) -> list[Secret]:
        """What a scope has, without values."""
        return self.store.secrets(self.require(caller, scope, READ))

    def read(self, caller: Principal, reference: SecretReference) -> bytes:
        """A secret's value."""
        scope = self.require(caller, reference.scope, READ)
        return self._open(scope, reference)[0]

    def permissions(self, caller: Principal, scope: str) -> Held:
        """Who may do what with a scope."""
        return self.store.permissions(self.require(caller, scope, MANAGE))

    def grant(self, caller: Principal, scope: str, grantee: str, permission: str | None) -> bool:
        """Gives a principal (its id) this permission in place of the one it had; None takes it away. Whether it had one."""
        found = self.require(caller, scope, MANAGE)
        if permission is not None:
            secret_rules.check_permission(permission)
        return self.store.grant(found, grantee, permission)

    def require(self, caller: Principal, scope: str, wanted: str) -> Scope:
        """The scope, for a caller who may do that there."""
        # Not every database can even be asked for any text.
        found = self.store.permission(scope, _grantees(caller)) if secret_rules.is_scope_name(scope) else None
        if found is None:
            raise errors.Hidden(f"Scope {scope[:200]} does not exist!")
        if not secret_rules.includes(found[1], wanted):
            raise errors.PermissionDenied(
                f"User {caller.user_name} does not have permission to {_ABILITIES[wanted]} scope {scope}. It takes {wanted}, "
                "which somebody with MANAGE there can grant."
            )
        return found[0]

    def check_references(
        self, caller: Principal, variables: Mapping[str, str], where: str = "environment_vars"
    ) -> Mapping[str, str]:
        """That every secret environment variables (or fields of another config: `where`) refer to is there, can be one, and may be read by the caller.

        What was found: reference -> the secret's version. Raises what is wrong, naming variable, scope and key.
        """
        versions = {}
        for name, text in variables.items():
            for reference in secret_references.within(text):
                try:
                    scope = self.require(caller, reference.scope, READ)
                    value, version = self._open(scope, reference)
                    _text(reference, value)
                except SecretUnavailable as error:
                    raise errors.InvalidParameterValue(f"{where}: {name}: {error}") from error
                except (errors.ResourceDoesNotExist, errors.PermissionDenied) as error:
                    raise type(error)(f"{where}: {name} refers to {reference}: {error.message}") from error
                versions[f"{scope.id}/{reference.key}"] = version
        return versions

    def resolve(self, variables: Mapping[str, str], checked: Container[str]) -> dict[str, str]:
        """The values of those environment variables that refer to secrets, for a replica that is about to start. Raises SecretUnavailable.

        `checked`: what `check_references` found for whoever wrote them.
        """
        found: dict[str, str] = {}
        for name, text in variables.items():
            if secret_references.within(text):
                found[name] = secret_references.resolved(text, lambda one: self.value(one, checked))
        return found

    def value(self, reference: SecretReference, checked: Container[str]) -> str:
        """What a secret says now, asked by the system itself on behalf of a config that was checked. Raises SecretUnavailable."""
        found = self.store.permission(reference.scope, None)
        if found is None:
            raise SecretUnavailable(f"the secret {reference} is not there: scope {reference.scope} does not exist")
        if f"{found[0].id}/{reference.key}" not in checked:
            # Deleted and made again, perhaps by somebody else, whose secrets nobody here was found to be allowed to read.
            raise SecretUnavailable(
                f"the secret {reference} is not the one that this config was checked with: scope {reference.scope} was made anew. "
                "Update the endpoint."
            )
        try:
            return _text(reference, self._open(found[0], reference)[0])
        except (errors.ResourceDoesNotExist, errors.InternalError) as error:
            raise SecretUnavailable(f"the secret {reference} is not there: {error.message}") from error

    def _open(self, scope: Scope, reference: SecretReference) -> tuple[bytes, str]:
        found = self.store.sealed(scope, reference.key) if secret_rules.is_key(reference.key) else None
        if found is None:
            raise _no_secret(reference)
        try:
            return self.sealer.open(found[0], _context(scope, reference.key)), found[1]
        except SealBroken as error:
            raise errors.InternalError(
                f"Secret {reference.key} of scope {reference.scope} cannot be opened; write it again, or restore the key it was sealed with."
            ) from error


def _grantees(caller: Principal) -> frozenset[str] | None:
    return None if caller.admin else caller.keys


def _context(scope: Scope, key: str) -> str:
    return f"secret:{scope.id}:{key}"


def _text(reference: SecretReference, value: bytes) -> str:
    """Raises SecretUnavailable for what no environment variable can hold."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise SecretUnavailable(
            f"the secret {reference} is not UTF-8 text: no environment variable can hold it"
        ) from None
    if "\0" in text:
        raise SecretUnavailable(f"the secret {reference} contains a NUL: no environment variable can hold it")
    return text


def _no_secret(reference: SecretReference) -> errors.ResourceDoesNotExist:
    return errors.ResourceDoesNotExist(
        f"Secret does not exist with scope: {reference.scope} and key: {reference.key[:200]}"
    )
