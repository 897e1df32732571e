"""`headgate catalogs …` and `headgate schemas …`."""

from __future__ import annotations

from typing import Annotated

import typer

from headgate.cli.printing import note
from headgate.cli.problems import CliError
from headgate.cli.registry.unity_catalog import listed, path_of, print_namespaces
from headgate.cli.session import Session, register

catalogs = typer.Typer(no_args_is_help=True, help="List, create and delete catalogs of registered models.")
schemas = typer.Typer(no_args_is_help=True, help="List, create and delete schemas, the folders of a catalog.")

Catalog = Annotated[str, typer.Argument(metavar="CATALOG", help="E.g. main.")]
Schema = Annotated[str, typer.Argument(metavar="SCHEMA", help="Two-level name, e.g. main.default.")]
Comment = Annotated[str | None, typer.Option("--comment", help="What it is for.")]
Force = Annotated[bool, typer.Option("--force", help="With everything in it, files of models included.")]


@register(catalogs, "list")
def list_catalogs(session: Session) -> None:
    """List catalogs."""
    session.print(listed(session.client(), path_of("catalogs"), "catalogs"), print_namespaces)


@register(catalogs, "create")
def create_catalog(session: Session, catalog: Catalog, comment: Comment = None) -> None:
    """Create a catalog; you own it."""
    made = session.client().send("POST", path_of("catalogs"), {"name": catalog, "comment": comment})
    session.print(made, lambda shown: print_namespaces([shown]))


@register(catalogs, "delete")
def delete_catalog(session: Session, catalog: Catalog, force: Force = False) -> None:
    """Delete a catalog that is empty, or with --force any."""
    session.client().send("DELETE", path_of("catalogs", catalog), {"force": force})
    note(f"{catalog} is deleted")


@register(schemas, "list")
def list_schemas(session: Session, catalog: Catalog) -> None:
    """List the schemas of a catalog."""
    found = listed(session.client(), path_of("schemas"), "schemas", {"catalog_name": catalog})
    session.print(found, print_namespaces)


@register(schemas, "create")
def create_schema(session: Session, schema: Schema, comment: Comment = None) -> None:
    """Create a schema; you own it."""
    catalog, dot, name = schema.partition(".")
    if not dot:
        raise CliError(f"{schema} is not the name of a schema: give two levels, e.g. main.{schema}")
    body = {"catalog_name": catalog, "name": name, "comment": comment}
    made = session.client().send("POST", path_of("schemas"), body)
    session.print(made, lambda shown: print_namespaces([shown]))


@register(schemas, "delete")
def delete_schema(session: Session, schema: Schema, force: Force = False) -> None:
    """Delete a schema that is empty, or with --force any."""
    session.client().send("DELETE", path_of("schemas", schema), {"force": force})
    note(f"{schema} is deleted")
