"""`headgate groups …`."""

from __future__ import annotations

from typing import Annotated

import typer

from headgate.cli.identity import scim
from headgate.cli.printing import note
from headgate.cli.session import Session, register

group = typer.Typer(no_args_is_help=True, help="List, create and delete groups, and change who is in them.")

Which = Annotated[str, typer.Argument(metavar="GROUP", help="Name of the group, or its id.")]
Member = Annotated[
    str, typer.Argument(metavar="MEMBER", help="User name, application id, name of a group, or an id of one of these.")
]
Filter = Annotated[str | None, typer.Option("--filter", help="SCIM filter, e.g. 'displayName sw \"team\"'.")]

_COLUMNS = ("id", "displayName", "members")


@register(group, "list")
def list_groups(session: Session, filter: Filter = None) -> None:
    """List groups."""
    session.print(scim.listed(session.client(), scim.GROUPS, filter), lambda found: scim.print_several(found, _COLUMNS))


@register(group, "get")
def get_group(session: Session, which: Which) -> None:
    """Show one group."""
    session.print(scim.find(session.client(), scim.GROUPS, which), scim.print_one)


@register(group, "create")
def create_group(
    session: Session,
    display_name: Annotated[str, typer.Argument(metavar="GROUP", help="Name of the group.")],
    members: Annotated[
        list[str] | None, typer.Option("--member", help="Somebody to be in it; may be repeated.")
    ] = None,
) -> None:
    """Create a group."""
    client = session.client()
    of = scim.entries(scim.find_anybody(client, one)[1]["id"] for one in members or ())
    body = {"displayName": display_name, "members": of}
    session.print(client.send("POST", f"{scim.SCIM}/{scim.GROUPS}", body), scim.print_one)


@register(group, "delete")
def delete_group(session: Session, which: Which) -> None:
    """Delete a group, not its members."""
    client = session.client()
    client.send("DELETE", scim.path_of(scim.GROUPS, scim.find(client, scim.GROUPS, which)["id"]))
    note(f"{which} is deleted")


@register(group, "add-member")
def add_member(session: Session, which: Which, member: Member) -> None:
    """Put a user, a service principal or another group into a group."""
    client = session.client()
    added = scim.entries([scim.find_anybody(client, member)[1]["id"]])
    operation = {"op": "add", "path": "members", "value": added}
    session.print(scim.patch(client, scim.GROUPS, which, operation), scim.print_one)


@register(group, "remove-member")
def remove_member(session: Session, which: Which, member: Member) -> None:
    """Take somebody out of a group."""
    client = session.client()
    operation = {"op": "remove", "path": f'members[value eq "{scim.find_anybody(client, member)[1]["id"]}"]'}
    session.print(scim.patch(client, scim.GROUPS, which, operation), scim.print_one)
