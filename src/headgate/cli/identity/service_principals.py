"""`headgate service-principals …`."""

from __future__ import annotations

from typing import Annotated

import typer

from headgate.cli.identity import scim
from headgate.cli.identity.users import Groups
from headgate.cli.printing import note
from headgate.cli.session import Session, register

group = typer.Typer(no_args_is_help=True, help="List, create, deactivate and delete service principals.")

Who = Annotated[str, typer.Argument(metavar="SERVICE_PRINCIPAL", help="Application id, display name, or id.")]
Filter = Annotated[str | None, typer.Option("--filter", help="SCIM filter, e.g. 'displayName eq \"nightly\"'.")]

_COLUMNS = ("id", "applicationId", "displayName", "active", "groups")


@register(group, "list")
def list_service_principals(session: Session, filter: Filter = None) -> None:
    """List service principals."""
    found = scim.listed(session.client(), scim.SERVICE_PRINCIPALS, filter)
    session.print(found, lambda found: scim.print_several(found, _COLUMNS))


@register(group, "get")
def get_service_principal(session: Session, who: Who) -> None:
    """Show one service principal."""
    session.print(scim.find(session.client(), scim.SERVICE_PRINCIPALS, who), scim.print_one)


@register(group, "create")
def create_service_principal(
    session: Session,
    display_name: Annotated[str, typer.Argument(metavar="DISPLAY_NAME", help="Name shown to people.")],
    groups: Groups = None,
) -> None:
    """Create a service principal; its application id is made for it."""
    client = session.client()
    into = scim.entries(scim.find(client, scim.GROUPS, one)["id"] for one in groups or ())
    body = {"displayName": display_name, "groups": into}
    session.print(client.send("POST", f"{scim.SCIM}/{scim.SERVICE_PRINCIPALS}", body), scim.print_one)


@register(group, "delete")
def delete_service_principal(session: Session, who: Who) -> None:
    """Delete a service principal, with its tokens, secrets and permissions."""
    client = session.client()
    found = scim.find(client, scim.SERVICE_PRINCIPALS, who)
    client.send("DELETE", scim.path_of(scim.SERVICE_PRINCIPALS, found["id"]))
    note(f"{who} is deleted")


@register(group, "deactivate")
def deactivate_service_principal(session: Session, who: Who) -> None:
    """Refuse whatever a service principal sends, until it is activated again."""
    _set_active(session, who, "false")


@register(group, "activate")
def activate_service_principal(session: Session, who: Who) -> None:
    """Let a service principal in again."""
    _set_active(session, who, "true")


def _set_active(session: Session, who: str, active: str) -> None:
    operation = {"op": "replace", "path": "active", "value": active}
    session.print(scim.patch(session.client(), scim.SERVICE_PRINCIPALS, who, operation), scim.print_one)
