"""`headgate permissions …` for endpoints, `headgate grants …` for catalogs, schemas and models, and an endpoint's new creator."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from headgate.cli import endpoints
from headgate.cli.client import endpoint_path
from headgate.cli.printing import note, print_table
from headgate.cli.session import Session, register

ENDPOINTS = "/api/2.0/permissions/serving-endpoints"
GRANTS = "/api/2.1/unity-catalog/permissions"
EFFECTIVE = "/api/2.1/unity-catalog/effective-permissions"

group = typer.Typer(no_args_is_help=True, help="Show and say who may do what with a serving endpoint.")
grants = typer.Typer(no_args_is_help=True, help="Show and say who may do what with catalogs, schemas and models.")

_LEVEL = "=LEVEL: CAN_VIEW, CAN_QUERY or CAN_MANAGE. Can be given several times."
Users = Annotated[list[str] | None, typer.Option("--user", metavar="NAME=LEVEL", help=f"A user's name{_LEVEL}")]
Groups = Annotated[list[str] | None, typer.Option("--group", metavar="NAME=LEVEL", help=f"A group's name{_LEVEL}")]
Programs = Annotated[
    list[str] | None,
    typer.Option("--service-principal", metavar="ID=LEVEL", help=f"A service principal's application id{_LEVEL}"),
]
Kind = Annotated[str, typer.Argument(metavar="TYPE", help="catalog, schema, function (a model) or metastore.")]
FullName = Annotated[str, typer.Argument(metavar="FULL_NAME", help="E.g. main, main.default or main.default.churn.")]


@register(group, "get")
def get_permissions(session: Session, name: str) -> None:
    """Show who may do what with an endpoint."""
    session.print(session.client().get(_path(name)), _print_permissions)


@register(group, "set")
def set_permissions(
    session: Session, name: str, users: Users = None, groups: Groups = None, programs: Programs = None
) -> None:
    """Replace everything that was granted on an endpoint."""
    _send(session, "PUT", name, _entries(users, groups, programs))


@register(group, "update")
def update_permissions(
    session: Session, name: str, users: Users = None, groups: Groups = None, programs: Programs = None
) -> None:
    """Give users, groups and service principals a level, and leave the others theirs."""
    _send(session, "PATCH", name, _entries(users, groups, programs))


@register(endpoints.group, "replace-creator")
def replace_creator(
    session: Session,
    name: str,
    user: Annotated[str | None, typer.Option("--user", help="Administrators only.", show_default="you")] = None,
    program: Annotated[
        str | None, typer.Option("--service-principal", help="Application id; administrators only.")
    ] = None,
) -> None:
    """Take an endpoint over, or give it another creator, who gets CAN_MANAGE."""
    named = {"user_name": user, "service_principal_name": program}
    body = {field: value for field, value in named.items() if value}
    made = session.client().send("PATCH", endpoint_path(name, "creator"), body)
    note(f"endpoint {name} is {made['creator']}'s")


@register(grants, "get")
def get_grants(
    session: Session,
    kind: Kind,
    full_name: FullName,
    effective: Annotated[bool, typer.Option("--effective", help="With what is inherited.")] = False,
) -> None:
    """Show what is granted."""
    path = f"{EFFECTIVE if effective else GRANTS}/{quote(kind, safe='')}/{quote(full_name, safe='')}"
    session.print(session.client().get(path), _print_grants)


@register(grants, "update")
def update_grants(
    session: Session,
    kind: Kind,
    full_name: FullName,
    principal: Annotated[str, typer.Option("--principal", help="User name, group name or application id.")],
    changes: Annotated[
        list[str], typer.Option("--privilege", metavar="+NAME|-NAME", help="Grant (+) or take away (-), e.g. +EXECUTE.")
    ],
) -> None:
    """Grant and take away."""
    change: dict[str, Any] = {"principal": principal, "add": [], "remove": []}
    for one in changes:
        if one[:1] not in ("+", "-"):
            raise typer.BadParameter(f"--privilege {one}: write +{one} to grant it, -{one} to take it away")
        change["add" if one[0] == "+" else "remove"].append(one[1:])
    path = f"{GRANTS}/{quote(kind, safe='')}/{quote(full_name, safe='')}"
    session.print(session.client().send("PATCH", path, {"changes": [change]}), _print_grants)


def _path(name: str) -> str:
    return f"{ENDPOINTS}/{quote(name, safe='')}"


def _send(session: Session, method: str, name: str, entries: list[dict[str, str]]) -> None:
    answer = session.client().send(method, _path(name), {"access_control_list": entries})
    session.print(answer, _print_permissions)


def _entries(users: list[str] | None, groups: list[str] | None, programs: list[str] | None) -> list[dict[str, str]]:
    fields = {"user_name": users, "group_name": groups, "service_principal_name": programs}
    return [_entry(field, one) for field, given in fields.items() for one in given or ()]


def _entry(field: str, text: str) -> dict[str, str]:
    name, _, level = text.rpartition("=")
    if not name or not level:
        raise typer.BadParameter(f"{text!r} is not NAME=LEVEL, for example ann=CAN_QUERY")
    return {field: name, "permission_level": level}


def _print_permissions(answer: dict[str, Any]) -> None:
    kinds = {"user_name": "user", "group_name": "group", "service_principal_name": "service principal"}
    rows = [
        (control[field], kind, shown["permission_level"], "inherited" if shown["inherited"] else "")
        for control in answer["access_control_list"]
        for field, kind in kinds.items()
        if field in control
        for shown in control["all_permissions"]
    ]
    print_table(("WHO", "KIND", "LEVEL", ""), rows)


def _print_grants(answer: dict[str, Any]) -> None:
    rows = []
    for assignment in answer.get("privilege_assignments", []):
        for one in assignment["privileges"]:
            shown = {"privilege": one} if isinstance(one, str) else one
            origin = f"{shown.get('inherited_from_type', '')} {shown.get('inherited_from_name', '')}".strip()
            rows.append((assignment["principal"], shown["privilege"], origin.lower()))
    print_table(("WHO", "PRIVILEGE", "FROM"), rows)
