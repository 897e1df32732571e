"""`headgate secrets …`: scopes, secrets and their permissions over the REST API; and the one command that needs the key itself."""

from __future__ import annotations

import base64
import binascii
import datetime
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from headgate import settings
from headgate.cli.printing import note, print_table
from headgate.cli.problems import CliError
from headgate.cli.session import Session, register

PREFIX = "/api/2.0/secrets"

group = typer.Typer(no_args_is_help=True, help="Keep secrets, and say who may read them.")
acls = typer.Typer(no_args_is_help=True, help="Say who may do what with a scope.")
group.add_typer(acls, name="acls")

Scope = Annotated[str, typer.Argument(metavar="SCOPE", help="Name of the scope.")]
Key = Annotated[str, typer.Argument(metavar="KEY", help="Key of the secret.")]
Principal = Annotated[
    str, typer.Argument(metavar="PRINCIPAL", help="User name, group name, or a service principal's application id.")
]
Permission = Annotated[
    str, typer.Argument(metavar="PERMISSION", help="READ, WRITE or MANAGE; each includes those before it.")
]


@register(group, "create-scope")
def create_scope(
    session: Session,
    scope: Scope,
    initial_manage_principal: Annotated[
        str | None,
        typer.Option("--initial-manage-principal", help="`users`: everybody may manage it.", show_default="you"),
    ] = None,
) -> None:
    """Create a scope; you may manage it."""
    body = {"scope": scope, "initial_manage_principal": initial_manage_principal}
    session.client().send("POST", f"{PREFIX}/scopes/create", {key: value for key, value in body.items() if value})
    note(f"scope {scope} is created")


@register(group, "delete-scope")
def delete_scope(session: Session, scope: Scope) -> None:
    """Delete a scope and everything in it."""
    session.client().send("POST", f"{PREFIX}/scopes/delete", {"scope": scope})
    note(f"scope {scope} is deleted")


@register(group, "list-scopes")
def list_scopes(session: Session) -> None:
    """List the scopes you may read."""
    found = session.client().get(f"{PREFIX}/scopes/list").get("scopes", [])
    session.print(found, lambda scopes: print_table(("SCOPE",), ([scope["name"]] for scope in scopes)))


@register(group, "put", aliases=("put-secret",))
def put_secret(
    session: Session,
    scope: Scope,
    key: Key,
    file: Annotated[Path | None, typer.Option("--file", help="Take the value, byte for byte, from a file.")] = None,
) -> None:
    """Write a secret. Its value is asked for, or read from standard input (without the last line break): never an argument,
    which everybody on the machine could see."""
    value = base64.b64encode(_value(file)).decode()
    session.client().send("POST", f"{PREFIX}/put", {"scope": scope, "key": key, "bytes_value": value})
    note(f"secret {key} of scope {scope} is written; refer to it as {{{{secrets/{scope}/{key}}}}}")


@register(group, "get", aliases=("get-secret",))
def get_secret(session: Session, scope: Scope, key: Key) -> None:
    """Show a secret's value: as it is in text, as base64 in JSON."""
    found = session.client().get(f"{PREFIX}/get", {"scope": scope, "key": key})
    session.print(found, _print_value)


@register(group, "list", aliases=("list-secrets",))
def list_secrets(session: Session, scope: Scope) -> None:
    """List the keys of a scope, without values."""
    session.print(session.client().get(f"{PREFIX}/list", {"scope": scope}).get("secrets", []), _print_secrets)


@register(group, "delete", aliases=("delete-secret",))
def delete_secret(session: Session, scope: Scope, key: Key) -> None:
    """Delete a secret."""
    session.client().send("POST", f"{PREFIX}/delete", {"scope": scope, "key": key})
    note(f"secret {key} of scope {scope} is deleted")


@register(acls, "put")
def put_acl(session: Session, scope: Scope, principal: Principal, permission: Permission) -> None:
    """Give somebody a permission on a scope, in place of the one they had."""
    body = {"scope": scope, "principal": principal, "permission": permission.upper()}
    session.client().send("POST", f"{PREFIX}/acls/put", body)
    note(f"{principal} has {permission.upper()} on scope {scope}")


@register(acls, "get")
def get_acl(session: Session, scope: Scope, principal: Principal) -> None:
    """Show somebody's own permission on a scope."""
    found = session.client().get(f"{PREFIX}/acls/get", {"scope": scope, "principal": principal})
    session.print(found, lambda acl: _print_acls([acl]))


@register(acls, "list")
def list_acls(session: Session, scope: Scope) -> None:
    """List who may do what with a scope."""
    session.print(session.client().get(f"{PREFIX}/acls/list", {"scope": scope}).get("items", []), _print_acls)


@register(acls, "delete")
def delete_acl(session: Session, scope: Scope, principal: Principal) -> None:
    """Take somebody's permission on a scope away."""
    session.client().send("POST", f"{PREFIX}/acls/delete", {"scope": scope, "principal": principal})
    note(f"{principal} has no permission of its own on scope {scope} any more")


@group.command("rotate-key")
def rotate_key(
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="Data directory of the server.", show_default="as serve")
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Settings file.", show_default="as serve")] = None,
) -> None:
    """Put a new key in place of the one that seals secrets, and seal everything with it. On the server's machine, as its user; it may go
    on running. With HEADGATE_SECRET_KEY set, the first key there takes over."""
    # Here: brings the database along, which other commands need not load.
    from headgate.access import key_rotation
    from headgate.access.sealing import UnusableKey

    try:
        done = key_rotation.rotate(settings.load({"data_dir": data_dir} if data_dir else {}, file=config))
    except (UnusableKey, settings.SettingsError) as error:
        raise CliError(str(error)) from error
    where = (
        f"kept in {done.file}" if done.file else "the first of HEADGATE_SECRET_KEY; the others can be taken out of it"
    )
    note(f"everything is sealed with the key {done.key_id} now, {where} ({done.resealed} values were sealed anew)")


def _value(file: Path | None) -> bytes:
    if file is not None:
        try:
            return file.expanduser().read_bytes()
        except OSError as error:
            raise typer.BadParameter(f"cannot read {file}: {error.strerror}", param_hint="--file") from error
    if sys.stdin.isatty():
        return str(typer.prompt("Value", hide_input=True, confirmation_prompt=True, err=True)).encode()
    value = sys.stdin.buffer.read()
    return value[: -(2 if value.endswith(b"\r\n") else 1)] if value.endswith(b"\n") else value


def _print_value(found: dict[str, Any]) -> None:
    try:
        value = base64.b64decode(found["value"])
    except binascii.Error as error:
        raise CliError("the server's answer holds no base64") from error
    sys.stdout.flush()
    sys.stdout.buffer.write(value + (b"\n" if sys.stdout.isatty() else b""))
    sys.stdout.buffer.flush()


def _print_secrets(secrets: Sequence[dict[str, Any]]) -> None:
    print_table(("KEY", "UPDATED"), ([one["key"], _at(one["last_updated_timestamp"])] for one in secrets))


def _print_acls(found: Sequence[dict[str, Any]]) -> None:
    print_table(("PRINCIPAL", "PERMISSION"), ([acl["principal"], acl["permission"]] for acl in found))


def _at(at_ms: int) -> str:
    at = datetime.datetime.fromtimestamp(at_ms / 1000, datetime.timezone.utc)
    return at.strftime("%Y-%m-%d %H:%M:%S")
