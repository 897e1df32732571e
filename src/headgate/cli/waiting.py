"""Waits for an endpoint's update to end and shows on stderr how it goes. Used by create, update-config and start."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import typer

from headgate.cli.client import Client, endpoint_path
from headgate.cli.printing import note
from headgate.cli.problems import CliError

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 2.0
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?")


def duration_s(given: str | float) -> float:
    """Seconds in `90`, `90s`, `20m` or `1h30m`; a number (Typer passes the default, too) is seconds. Raises BadParameter."""
    match = _DURATION.fullmatch(str(given).strip())
    if not match or not any(match.groups()):
        raise typer.BadParameter(f"{given!r} is no duration; write e.g. 90s, 20m or 1h30m")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def until_updated(client: Client, name: str, timeout_s: float) -> dict[str, Any]:
    """The endpoint once nothing is in progress. Raises CliError when the update failed or is not over in time."""
    deadline = time.monotonic() + timeout_s
    pause_s = FIRST_PAUSE_S
    with _progress(name) as show:
        while True:
            endpoint: dict[str, Any] = client.get(endpoint_path(name))
            update = endpoint["state"]["config_update"]
            if update != "IN_PROGRESS":
                break
            show(_in_progress(endpoint))
            if time.monotonic() + pause_s > deadline:
                raise CliError(
                    f"{name} is still being updated after {timeout_s:g} s; it goes on: look with `get {name}`"
                )
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, LONGEST_PAUSE_S)
    if update != "NOT_UPDATING":
        raise CliError(_failure(name, endpoint))
    return endpoint


def _in_progress(endpoint: dict[str, Any]) -> str:
    said = "; ".join(f"{entity}: {says}" for entity, says in _said(endpoint))
    return " ".join(said.split()) or "in progress"


def _failure(name: str, endpoint: dict[str, Any]) -> str:
    said = "; ".join(f"{entity}: {says}" for entity, says in _said(endpoint))
    serving = ", the previous config keeps serving" if endpoint["state"].get("ready") == "READY" else ""
    ended = "was canceled" if endpoint["state"]["config_update"] == "UPDATE_CANCELED" else "failed"
    return f"the update of {name} {ended}{serving}: {said or 'see its build-logs and logs'}"


def _said(endpoint: dict[str, Any]) -> list[tuple[str, str]]:
    """What the entities of the wanted config (the served one when no other is pending) say about themselves."""
    config = endpoint.get("pending_config") or endpoint.get("config") or {}
    entities = config.get("served_entities", [])
    said = [
        (entity.get("name", "?"), entity.get("state", {}).get("deployment_state_message", "")) for entity in entities
    ]
    return [(entity, says) for entity, says in said if says]


class _Show(Protocol):
    def __call__(self, text: str) -> None: ...


@contextmanager
def _progress(name: str) -> Iterator[_Show]:
    """A spinner for a person; for anyone else one line per change."""
    began = time.monotonic()
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.markup import escape

        with Console(stderr=True).status(f"{name}: waiting") as status:
            yield lambda text: status.update(
                f"{escape(name)}: {escape(text)} [dim]{time.monotonic() - began:.0f} s[/dim]"
            )
        return
    shown: list[str] = []

    def show(text: str) -> None:
        if shown[-1:] != [text]:
            shown.append(text)
            note(f"{name}: {text}")

    yield show
