"""`headgate models describe|update|delete|…`: one model, its versions, aliases and tags. Adds its commands to `models.group`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from headgate.cli.printing import note, print_pairs, print_table
from headgate.cli.problems import CliError
from headgate.cli.registry.models import Model, group
from headgate.cli.registry.unity_catalog import listed, path_of
from headgate.cli.session import Session, register

Alias = Annotated[str, typer.Argument(metavar="ALIAS", help="E.g. Champion.")]
SomeVersion = Annotated[int | None, typer.Argument(metavar="[VERSION]", min=1, show_default=False)]
OfVersion = Annotated[int | None, typer.Option("--version", "-v", min=1, help="Of this version instead.")]
Key = Annotated[str, typer.Argument(metavar="KEY")]


@register(group, "describe")
def describe(session: Session, model: Model) -> None:
    """Show a model with its owner, aliases, tags and versions."""
    client = session.client()
    found = client.get(path_of("models", model), {"include_aliases": "true"})
    found["versions"] = listed(client, path_of("models", model, "versions"), "model_versions")
    session.print(found, _print_model)


@register(group, "update")
def update(
    session: Session,
    model: Model,
    comment: Annotated[str | None, typer.Option("--comment", help="What it is for.")] = None,
    owner: Annotated[
        str | None, typer.Option("--owner", help="User name, application id or group that is to own it.")
    ] = None,
    new_name: Annotated[str | None, typer.Option("--new-name", help="Its last level; grants go along.")] = None,
) -> None:
    """Change a model's comment, owner or name."""
    wanted = {"comment": comment, "owner": owner, "new_name": new_name}
    body = {field: value for field, value in wanted.items() if value is not None}
    if not body:
        raise CliError("nothing to change: give --comment, --owner or --new-name")
    session.print(session.client().send("PATCH", path_of("models", model), body), _print_info)


@register(group, "delete")
def delete(session: Session, model: Model, version: SomeVersion = None) -> None:
    """Delete a model with all its versions, or one version of it."""
    parts = ("models", model) if version is None else ("models", model, "versions", str(version))
    session.client().send("DELETE", path_of(*parts))
    note(f"{model} is deleted" if version is None else f"{model} version {version} is deleted")


@register(group, "delete-alias")
def delete_alias(session: Session, model: Model, alias: Alias) -> None:
    """Take an alias away; the version stays."""
    session.client().send("DELETE", path_of("models", model, "aliases", alias))
    note(f"{model}@{alias} is deleted")


@register(group, "set-tag")
def set_tag(
    session: Session,
    model: Model,
    key: Key,
    value: Annotated[str, typer.Argument(metavar="[VALUE]", show_default=False)] = "",
    version: OfVersion = None,
) -> None:
    """Set a tag of a model or of a version."""
    _change_tags(session, model, version, {"add_tags": [{"key": key, "value": value}]})
    note(f"{_titled(model, version)} has the tag {key}={value}")


@register(group, "delete-tag")
def delete_tag(session: Session, model: Model, key: Key, version: OfVersion = None) -> None:
    """Take a tag away from a model or a version."""
    _change_tags(session, model, version, {"remove": [key]})
    note(f"{_titled(model, version)} has no tag {key}")


def _change_tags(session: Session, model: str, version: int | None, changes: dict[str, Any]) -> None:
    path = path_of("securable-tags", "FUNCTION", model)
    if version is not None:
        path = path_of("subentity-tags", "FUNCTION", model, str(version))
    session.client().send("PATCH", path, {"changes": changes})


def _titled(model: str, version: int | None) -> str:
    return model if version is None else f"{model} version {version}"


def _print_info(model: dict[str, Any]) -> None:
    print_pairs(_pairs(model))


def _print_model(model: dict[str, Any]) -> None:
    print_pairs(_pairs(model))
    if model["versions"]:
        print()
    print_table(
        ("VERSION", "STATUS", "CREATED BY", "COMMENT"),
        (
            (str(item["version"]), item["status"], item.get("created_by") or "", item.get("comment") or "")
            for item in model["versions"]
        ),
    )


def _pairs(model: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for field in ("full_name", "owner", "comment", "created_by", "updated_by"):
        if model.get(field):
            yield field, model[field]
    if model.get("aliases"):
        yield "aliases", ", ".join(f"{item['alias_name']}={item['version_num']}" for item in model["aliases"])
    if model.get("tags"):
        yield "tags", ", ".join(f"{item['key']}={item['value']}" for item in model["tags"])
