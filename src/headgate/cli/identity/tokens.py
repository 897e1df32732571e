"""`headgate tokens …`."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from headgate.cli.identity import scim
from headgate.cli.printing import note, print_table
from headgate.cli.session import Session, register

group = typer.Typer(no_args_is_help=True, help="Create, list and revoke access tokens.")

OWN = "/api/2.0/token"
MANAGED = "/api/2.0/token-management"


@register(group, "create")
def create_token(
    session: Session,
    comment: Annotated[str, typer.Option("--comment", help="What it is for.")] = "",
    lifetime_s: Annotated[
        int | None, typer.Option("--lifetime-seconds", help="How long it is good.", show_default="two years")
    ] = None,
    of: Annotated[
        str | None, typer.Option("--for", help="User or service principal, by name or id; administrators only.")
    ] = None,
) -> None:
    """Create a token. Its value is printed, once: nobody can look it up later."""
    client = session.client()
    body: dict[str, Any] = {"comment": comment}
    if lifetime_s is not None:
        body["lifetime_seconds"] = lifetime_s
    path = f"{OWN}/create"
    if of is not None:
        plural, found = scim.find_anybody(client, of, (scim.USERS, scim.SERVICE_PRINCIPALS))
        named = {"user_name": found["userName"]} if plural == scim.USERS else {"application_id": found["applicationId"]}
        path, body = f"{MANAGED}/on-behalf-of/tokens", {**body, **named}
    session.print(client.send("POST", path, body), _print_value)


@register(group, "list")
def list_tokens(
    session: Session,
    everybody: Annotated[bool, typer.Option("--all", help="Everybody's; administrators only.")] = False,
) -> None:
    """List your tokens."""
    path = f"{MANAGED}/tokens" if everybody else f"{OWN}/list"
    session.print(session.client().get(path).get("token_infos", []), _print_tokens)


@register(group, "revoke")
def revoke_token(session: Session, token_id: Annotated[str, typer.Argument(metavar="TOKEN_ID")]) -> None:
    """Revoke a token: one of your own or, as an administrator, anybody's."""
    session.client().send("POST", f"{OWN}/delete", {"token_id": token_id})
    note(f"{token_id} is revoked")


def _print_value(made: dict[str, Any]) -> None:
    typer.echo(made["token_value"])
    info = made["token_info"]
    note(f"Its id is {info['token_id']}; it is good until {_day(info['expiry_time'])}.")


def _print_tokens(tokens: Sequence[dict[str, Any]]) -> None:
    managed = any("owner_id" in token for token in tokens)
    columns = ("TOKEN_ID", "COMMENT", "CREATED", "EXPIRES", *(("OWNER_ID", "LAST_USED") if managed else ()))
    print_table(columns, (_row(token, managed) for token in tokens))


def _row(token: dict[str, Any], managed: bool) -> list[str]:
    row = [token["token_id"], token.get("comment", ""), _day(token["creation_time"]), _day(token["expiry_time"])]
    if managed:
        row += [str(token["owner_id"]), _day(token["last_used_day"]) if "last_used_day" in token else ""]
    return row


def _day(at_ms: int) -> str:
    if at_ms < 0:
        return "never"
    return datetime.datetime.fromtimestamp(at_ms / 1000, datetime.timezone.utc).strftime("%Y-%m-%d")
