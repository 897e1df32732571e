"""The `headgate` command: assembles the groups and turns a CliError into one line on stderr and exit code 1.

Kept quick to start: nothing here or in the modules imported here may import the server, requests or rich at the top.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

import headgate
from headgate.cli import doctor, endpoints, logs, queries, secrets, serve, sql
from headgate.cli.access import audit, permissions
from headgate.cli.identity import client_secrets, groups, oauth, service_principals, tokens, users
from headgate.cli.printing import note
from headgate.cli.problems import CliError
from headgate.cli.registry import model_details, models, namespaces
from headgate.cli.session import register

app = typer.Typer(
    name="headgate",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(serve.group)
app.add_typer(endpoints.group, name="serving-endpoints")
app.add_typer(models.group, name="models")
app.add_typer(namespaces.catalogs, name="catalogs")
app.add_typer(namespaces.schemas, name="schemas")
app.add_typer(users.group, name="users")
app.add_typer(groups.group, name="groups")
app.add_typer(service_principals.group, name="service-principals")
app.add_typer(tokens.group, name="tokens")
app.add_typer(oauth.group, name="oauth")
app.add_typer(secrets.group, name="secrets")
app.add_typer(permissions.group, name="permissions")
app.add_typer(permissions.grants, name="grants")
app.add_typer(audit.group, name="audit")
app.add_typer(sql.group)
register(app, "doctor")(doctor.doctor)

# Importing these added their commands to the groups of others.
GROUPS = (queries, logs, model_details, client_secrets)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"headgate {headgate.__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Open, self-hosted model serving that speaks the Databricks Model Serving API."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command; always ends with SystemExit: 0, 1 (it failed) or 2 (wrong usage)."""
    try:
        app(arguments, prog_name="headgate")
    except CliError as error:
        note(f"Error: {error.line()}")
        sys.exit(1)


if __name__ == "__main__":
    main()
