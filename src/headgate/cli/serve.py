"""`headgate serve`: turns the command line into settings and starts the house. Imports the house only when asked to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from headgate.cli.problems import CliError

Host = Annotated[str | None, typer.Option("--host", help="Address to listen on.", show_default="127.0.0.1")]
Port = Annotated[
    int | None,
    typer.Option("--port", min=0, max=65535, help="Port to listen on; 0 picks a free one.", show_default="8080"),
]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Where everything is kept.", show_default="~/.headgate")
]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="Server processes.", show_default="1")]
Environments = Annotated[
    str | None, typer.Option("--env", metavar="uv|local", help="Where models find their packages.", show_default="uv")
]
File = Annotated[
    Path | None, typer.Option("--config", help="Settings file.", show_default="headgate.toml, if there is one")
]
More = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Any other setting, e.g. --set scaling.idle_s=60."),
]


group = typer.Typer()


@group.command()
def serve(
    host: Host = None,
    port: Port = None,
    data_dir: DataDir = None,
    workers: Workers = None,
    env: Environments = None,
    config: File = None,
    more: More = None,
) -> None:
    """Start the server. Every setting may also come from HEADGATE_* or the settings file."""
    from headgate import app, house, settings

    named = {"host": host, "port": port, "data_dir": data_dir, "workers": workers, "environments.mode": env}
    overrides = {**_pairs(more or []), **{name: value for name, value in named.items() if value is not None}}
    try:
        loaded = settings.load(overrides, file=config)
    except settings.SettingsError as error:
        raise CliError(str(error)) from error
    try:
        code = app.serve(loaded)
    except house.CannotServe as error:
        raise CliError(str(error)) from error
    raise typer.Exit(code)


def _pairs(given: list[str]) -> dict[str, Any]:
    """`section.field=value` strings as a mapping. Raises BadParameter."""
    pairs = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not equals:
            raise typer.BadParameter(f"{item!r} is not NAME=VALUE", param_hint="--set")
        pairs[name.strip()] = value
    return pairs
