"""What every client command has: connection, output format, and the endpoint's name positionally or as `--name`.

`register` turns `def command(session, name, …)` into a Typer command with those options added; a parameter called `name`
is the endpoint's name, and is required unless its type allows None.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from headgate.cli import connection
from headgate.cli.client import SERVING_ENDPOINTS, Client
from headgate.cli.printing import Format, print_json
from headgate.cli.problems import CliError


@dataclass(frozen=True, slots=True)
class Session:
    """One client command's run."""

    wanted: connection.Wanted
    asked: Format | None
    """What `--output` said."""

    @property
    def format(self) -> Format:
        """What to print where `--output` was not given: text for a person at a terminal, JSON for the program behind a pipe."""
        return self.asked or (Format.text if sys.stdout.isatty() else Format.json)

    def client(self) -> Client:
        """A new client of the server that options, environment or profile name. Raises CliError."""
        return Client(connection.resolve(self.wanted))

    def print(self, value: Any, as_text: Callable[[Any], None] = print_json) -> None:
        """A result, as JSON or by its own text form."""
        (print_json if self.format is Format.json else as_text)(value)


def complete_endpoint(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of endpoints for the shell. Silent when the server cannot be asked."""
    wanted = connection.Wanted(*(ctx.params.get(key) for key in ("host", "token", "profile")))
    try:
        client = Client(connection.resolve(wanted), answer_timeout_s=2.0)
        listed = client.get(SERVING_ENDPOINTS)
    except CliError:
        return []
    return [item["name"] for item in listed.get("endpoints", []) if item["name"].startswith(incomplete)]


_Host = Annotated[str | None, typer.Option("--host", help="Server address. Default: DATABRICKS_HOST.")]
_Token = Annotated[str | None, typer.Option("--token", help="Bearer token. Default: DATABRICKS_TOKEN.")]
_Profile = Annotated[str | None, typer.Option("--profile", "-p", help="Section of ~/.databrickscfg to use.")]
_Output = Annotated[
    Format | None,
    typer.Option("--output", "-o", help="Default: text on a terminal, json elsewhere.", show_default=False),
]
_Name = Annotated[
    str | None,
    typer.Argument(metavar="NAME", help="Name of the endpoint.", autocompletion=complete_endpoint, show_default=False),
]
_NameOption = Annotated[
    str | None,
    typer.Option("--name", help="Name of the endpoint, instead of NAME.", autocompletion=complete_endpoint),
]

Command = Callable[..., None]


def register(group: typer.Typer, name: str, *, aliases: tuple[str, ...] = ()) -> Callable[[Command], Command]:
    """Decorator: adds the function to the group under its name, and hidden under its aliases."""

    def add(function: Command) -> Command:
        command = _with_session(function)
        group.command(name)(command)
        for alias in aliases:
            group.command(alias, hidden=True)(command)
        return function

    return add


def _with_session(function: Command) -> Command:
    # Not get_type_hints: before Python 3.11 it makes Optional[Annotated[…]] of a parameter whose default is None.
    own = dict(list(inspect.signature(function, eval_str=True).parameters.items())[1:])
    required = "name" in own and own["name"].annotation is str
    parameters = [_parameter(item.name, item.annotation, item.default) for item in own.values() if item.name != "name"]
    if "name" in own:
        parameters = [_parameter("name", _Name, None), *parameters, _parameter("name_option", _NameOption, None)]
    common = {"host": _Host, "token": _Token, "profile": _Profile, "output": _Output}
    parameters += [_parameter(option, kind, None) for option, kind in common.items()]

    @functools.wraps(function)
    def run(**given: Any) -> None:
        wanted = connection.Wanted(given.pop("host"), given.pop("token"), given.pop("profile"))
        session = Session(wanted, given.pop("output"))
        if "name" in own:
            _settle_name(given, required)
        function(session, **given)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del run.__wrapped__  # Typer would read the wrapped function's signature
    return run


def _parameter(name: str, kind: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)


def _settle_name(given: dict[str, Any], required: bool) -> None:
    """Leaves one `name`. With `--name`, a lone positional belongs to the next argument, if the command has one."""
    positional, option = given["name"], given.pop("name_option")
    if option and positional and given.get("served_model", "") is None:
        given["served_model"], positional = positional, None
    if option and positional and option != positional:
        raise typer.BadParameter(f"two different names: {positional} and --name {option}")
    given["name"] = option or positional
    if required and not given["name"]:
        raise typer.BadParameter("the endpoint's name is missing: give it as NAME or --name NAME")
