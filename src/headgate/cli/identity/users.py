"""`headgate users …`."""

from __future__ import annotations

from typing import Annotated

import typer

from headgate.cli.identity import scim
from headgate.cli.printing import note
from headgate.cli.session import Session, register

group = typer.Typer(no_args_is_help=True, help="List, create, deactivate and delete users.")

Who = Annotated[str, typer.Argument(metavar="USER", help="User name or id.")]
Filter = Annotated[str | None, typer.Option("--filter", help="SCIM filter, e.g. 'userName co \"@example.com\"'.")]
Groups = Annotated[list[str] | None, typer.Option("--group", help="Group to join, by name or id; may be repeated.")]
DisplayName = Annotated[str | None, typer.Option("--display-name", help="Name shown to people.")]

_COLUMNS = ("id", "userName", "displayName", "active", "groups")


@register(group, "list")
def list_users(session: Session, filter: Filter = None) -> None:
    """List users."""
    session.print(scim.listed(session.client(), scim.USERS, filter), lambda found: scim.print_several(found, _COLUMNS))


@register(group, "get")
def get_user(session: Session, who: Who) -> None:
    """Show one user."""
    session.print(scim.find(session.client(), scim.USERS, who), scim.print_one)


@register(group, "create")
def create_user(
    session: Session,
    user_name: Annotated[str, typer.Argument(metavar="USER_NAME", help="Usually an e-mail address.")],
    display_name: DisplayName = None,
    groups: Groups = None,
) -> None:
    """Create a user. `headgate tokens create --for USER_NAME` gives them a token."""
    client = session.client()
    into = scim.entries(scim.find(client, scim.GROUPS, one)["id"] for one in groups or ())
    body = {"userName": user_name, "displayName": display_name or "", "groups": into}
    session.print(client.send("POST", f"{scim.SCIM}/{scim.USERS}", body), scim.print_one)


@register(group, "delete")
def delete_user(session: Session, who: Who) -> None:
    """Delete a user, with their tokens and permissions."""
    client = session.client()
    client.send("DELETE", scim.path_of(scim.USERS, scim.find(client, scim.USERS, who)["id"]))
    note(f"{who} is deleted")


@register(group, "deactivate")
def deactivate_user(session: Session, who: Who) -> None:
    """Refuse whatever a user sends, until they are activated again."""
    _set_active(session, who, "false")


@register(group, "activate")
def activate_user(session: Session, who: Who) -> None:
    """Let a user in again."""
    _set_active(session, who, "true")


def _set_active(session: Session, who: str, active: str) -> None:
    operation = {"op": "replace", "path": "active", "value": active}
    session.print(scim.patch(session.client(), scim.USERS, who, operation), scim.print_one)
