"""`headgate oauth …`."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from headgate.cli.printing import note, print_table
from headgate.cli.session import Session, register

group = typer.Typer(no_args_is_help=True, help="Look after the keys that sign OAuth tokens.")

KEYS = "/api/2.0/oauth/signing-keys"


@register(group, "keys")
def list_keys(session: Session) -> None:
    """List the keys: the one that signs, those that only verify, and one that waits for its time."""
    session.print(session.client().get(KEYS).get("keys", []), _print_keys)


@register(group, "rotate-keys")
def rotate_keys(
    session: Session,
    forget_old: Annotated[
        bool, typer.Option("--forget-old", help="Refuse every token signed until now: for a key that leaked.")
    ] = False,
) -> None:
    """Let a new key sign tokens. Old tokens stay good until they expire, and nobody is logged out."""
    keys = session.client().send("POST", f"{KEYS}/rotate", {"forget_old": forget_old})["keys"]
    session.print(keys, _print_keys)
    note("every token signed until now is refused" if forget_old else "all servers know the new key before it signs")


def _print_keys(keys: list[Mapping[str, Any]]) -> None:
    rows = ([key["id"], key["state"].lower(), _time(key["signs_from"]), _time(key.get("expires_at"))] for key in keys)
    print_table(("ID", "STATE", "SIGNS_FROM", "EXPIRES"), rows)


def _time(at_ms: int | None) -> str:
    if at_ms is None:
        return ""
    return datetime.datetime.fromtimestamp(at_ms / 1000, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ")
