"""`headgate serving-endpoints logs` and `build-logs`: of one served entity, or of all; once, or as they grow."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Annotated, Any

import typer

from headgate.cli.client import Client, endpoint_path
from headgate.cli.endpoints import group
from headgate.cli.printing import Format, note, print_json
from headgate.cli.problems import ApiError, CliError, Unreachable
from headgate.cli.session import Session, register

ServedModel = Annotated[
    str | None,
    typer.Argument(metavar="[SERVED_MODEL]", help="Name of one served entity. Default: all.", show_default=False),
]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on printing lines as they come, until Ctrl-C.")]
Interval = Annotated[float, typer.Option("--interval", min=0.01, help="Seconds between two looks while following.")]


@register(group, "logs")
def logs(
    session: Session, name: str, served_model: ServedModel = None, follow: Follow = False, interval: Interval = 1.0
) -> None:
    """Print what the model's processes wrote."""
    client = session.client()
    if follow:
        _follow(client, (name, served_model), interval)
        return
    _print_logs(session, _fetch(client, (name, served_model), "logs"))


@register(group, "build-logs")
def build_logs(session: Session, name: str, served_model: ServedModel = None) -> None:
    """Print how the model's environment was built."""
    _print_logs(session, _fetch(session.client(), (name, served_model), "build-logs"))


def _fetch(client: Client, of: tuple[str, str | None], kind: str) -> dict[str, str]:
    """Served entity -> its log so far."""
    name, served_model = of
    entities = [served_model] if served_model else _entities(client.get(endpoint_path(name)))
    if not entities:
        raise CliError(f"{name} has no served entity yet")
    return {entity: _log(client, name, entity, kind) for entity in entities}


def _log(client: Client, name: str, entity: str, kind: str) -> str:
    return str(client.get(endpoint_path(name, "served-models", entity, kind)).get("logs") or "")


def _entities(endpoint: dict[str, Any]) -> list[str]:
    """Names in the order of the serving config, then those that are only pending."""
    names: dict[str, None] = {}
    for key in ("config", "pending_config"):
        for entity in (endpoint.get(key) or {}).get("served_entities", []):
            names[entity["name"]] = None
    return list(names)


def _print_logs(session: Session, texts: dict[str, str]) -> None:
    if session.asked is Format.json:
        print_json({entity: {"logs": text} for entity, text in texts.items()})
        return
    printer = _Printer(len(texts) > 1)
    for entity, text in texts.items():
        printer.print(entity, text.splitlines())


class _Printer:
    """Writes lines, under a heading whenever the entity they come from changes and there may be several."""

    def __init__(self, headings: bool) -> None:
        self._headings = headings
        self._last = ""

    def print(self, entity: str, lines: list[str]) -> None:
        if lines and self._headings and entity != self._last:
            sys.stdout.write(f"{chr(10) if self._last else ''}==> {entity} <==\n")
            self._last = entity
        for line in lines:
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def new_lines(before: str, now: str) -> list[str]:
    """Lines of `now` that `before` lacked. Neither rotation nor lines inserted between old ones repeat or lose any,
    since every line carries its time."""
    seen = Counter(before.splitlines())
    found = []
    for line in now.splitlines():
        if seen[line]:
            seen[line] -= 1
        else:
            found.append(line)
    return found


def _follow(client: Client, of: tuple[str, str | None], interval_s: float) -> None:
    """Prints for ever; a server that is away is waited for. Ends with CliError when the endpoint is gone."""
    before: dict[str, str] = {}
    printer = _Printer(of[1] is None)
    look: Callable[[], dict[str, str] | None] = _patient(lambda: _fetch(client, of, "logs"))
    while True:
        now = look()
        for entity, text in (now or {}).items():
            printer.print(entity, new_lines(before.get(entity, ""), text))
            before[entity] = text
        time.sleep(interval_s)


def _patient(fetch: Callable[[], dict[str, str]]) -> Callable[[], dict[str, str] | None]:
    """`fetch`, but None while the server is away, saying so once."""
    away = False

    def look() -> dict[str, str] | None:
        nonlocal away
        try:
            found = fetch()
        except (Unreachable, ApiError) as error:
            if isinstance(error, ApiError) and error.status < 500:
                raise
            if not away:
                note(f"waiting for the server: {error.line()}")
            away = True
            return None
        away = False
        return found

    return look
