"""`headgate service-principals secrets …`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from headgate.cli.client import Client
from headgate.cli.identity import scim, service_principals
from headgate.cli.identity.service_principals import Who
from headgate.cli.printing import note
from headgate.cli.session import Session, register

group = typer.Typer(
    no_args_is_help=True, help="Make and delete the secrets with which a service principal asks for OAuth tokens."
)
service_principals.group.add_typer(group, name="secrets")

_COLUMNS = ("id", "status", "create_time", "expire_time")


@register(group, "create")
def create_secret(
    session: Session,
    who: Who,
    lifetime_s: Annotated[
        int | None, typer.Option("--lifetime-seconds", help="How long it is good.", show_default="two years")
    ] = None,
) -> None:
    """Make a secret. Its value is printed, once: nobody can look it up later."""
    client = session.client()
    found = scim.find(client, scim.SERVICE_PRINCIPALS, who)
    made = client.send("POST", _path(found), {} if lifetime_s is None else {"lifetime": f"{lifetime_s}s"})
    session.print({**made, "client_id": found["applicationId"]}, _print_value)


@register(group, "list")
def list_secrets(session: Session, who: Who) -> None:
    """List a service principal's secrets, without their values."""
    client = session.client()
    listed = client.get(_path(_found(client, who))).get("secrets", [])
    session.print(listed, lambda secrets: scim.print_several(secrets, _COLUMNS))


@register(group, "delete")
def delete_secret(session: Session, who: Who, secret_id: Annotated[str, typer.Argument(metavar="SECRET_ID")]) -> None:
    """Delete a secret: it gets no token any more."""
    client = session.client()
    client.send("DELETE", f"{_path(_found(client, who))}/{secret_id}")
    note(f"{secret_id} is deleted")


def _found(client: Client, who: str) -> Mapping[str, Any]:
    return scim.find(client, scim.SERVICE_PRINCIPALS, who)


def _path(found: Mapping[str, Any]) -> str:
    return f"/api/2.0/accounts/servicePrincipals/{found['id']}/credentials/secrets"


def _print_value(made: Mapping[str, Any]) -> None:
    typer.echo(made["secret"])
    note(f"Its client id is {made['client_id']}, its id {made['id']}; it is good until {made['expire_time']}.")
