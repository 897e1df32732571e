"""docs/reference/cli.md: every command with its arguments and options, read from the Typer app."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import cache
from typing import Any

import typer.main
from tools.reference.markdown import code, table
from tools.reference.markdown import page as make_page

from headgate.cli.main import app

INTRODUCTION = """`headgate serve` starts a server; all other commands are clients of a running one and take their address and token from, in this
order: `--host` and `--token`; `--profile`; `DATABRICKS_HOST` and `DATABRICKS_TOKEN`; the section of `~/.databrickscfg`
(`DATABRICKS_CONFIG_FILE`) that `DATABRICKS_CONFIG_PROFILE` names, or `[DEFAULT]`.

Results go to standard output, progress and errors to standard error. An error is one line, `Error: message (ERROR_CODE)`. Exit
codes: 0, 1 (it failed), 2 (wrong usage). `headgate --install-completion` makes the shell complete commands, options and names of endpoints."""
COLUMNS = ("Argument or option", "Meaning", "Default")
COMMON = ("--host", "--token", "--profile", "--output")


def page() -> str:
    shared = {option: row for command in commands().values() for option, row in _rows(command) if option in COMMON}
    parts = []
    for name, command in commands().items():
        own = [row for option, row in _rows(command) if option not in COMMON or name == "headgate serve"]
        listed = "\n\n" + table(COLUMNS, own) if own else ""
        parts.append(f"## {_title(name, command)}\n\n{_text(command)}{listed}")
    common = table(COLUMNS, [shared[option] for option in COMMON])
    return make_page("Command line", INTRODUCTION, f"## Options every client command also has\n\n{common}", *parts)


@cache
def commands() -> dict[str, Any]:
    """`headgate serving-endpoints get` -> the command, for all of them, in the order of `--help`; aliases left out."""
    root = typer.main.get_command(app)
    found: dict[str, Any] = {"headgate": root}
    for path, command in _walk("headgate", root):
        found[path] = command
    return found


def aliases(command: Any) -> list[str]:
    """Hidden names of a command."""
    root = commands()["headgate"]
    groups = [group for group in root.commands.values() if hasattr(group, "commands")]
    hidden = [other for group in groups for other in group.commands.values() if other.hidden]
    return [other.name for other in hidden if inspect.unwrap(other.callback) is inspect.unwrap(command.callback)]


def options(command: Any) -> list[str]:
    """All spellings of all options and arguments of a command, but those Typer adds itself."""
    return [spelling for parameter in _parameters(command) for spelling in _spellings(parameter)]


def _walk(path: str, group: Any) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _walk(f"{path} {name}", command)
        elif not command.hidden:
            yield f"{path} {name}", command


def _title(name: str, command: Any) -> str:
    also = ", ".join(code(alias) for alias in aliases(command))
    return code(name) + (f" (also {also})" if also else "")


def _text(command: Any) -> str:
    return "\n\n".join(" ".join(part.split()) for part in (command.help or "").split("\n\n"))


def _parameters(command: Any) -> list[Any]:
    added = ("help", "install_completion", "show_completion")
    return [parameter for parameter in command.params if parameter.name not in added and not parameter.hidden]


def _rows(command: Any) -> list[tuple[str, tuple[str, ...]]]:
    return [(_spellings(parameter)[0], _row(parameter)) for parameter in _parameters(command)]


def _row(parameter: Any) -> tuple[str, ...]:
    spellings = _spellings(parameter)
    takes = f" {parameter.metavar}" if parameter.metavar and spellings[0].startswith("-") else ""
    needed = "required" if parameter.required else _default(parameter)
    return ", ".join(code(spelling) for spelling in spellings) + takes, parameter.help or "", needed


def _spellings(parameter: Any) -> list[str]:
    if not any(option.startswith("-") for option in parameter.opts):
        return [parameter.metavar or parameter.name.upper()]
    return [*parameter.opts, *parameter.secondary_opts]


def _default(parameter: Any) -> str:
    if isinstance(parameter.show_default, str):
        return parameter.show_default
    numeric = isinstance(parameter.default, int | float) and not isinstance(parameter.default, bool)
    return str(parameter.default) if numeric else ""
