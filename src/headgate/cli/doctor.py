"""`headgate doctor`: what on this machine, or between it and the server, keeps Headgate from working, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from headgate import settings
from headgate.cli import checks, connection, surroundings
from headgate.cli.checks import Finding, Verdict
from headgate.cli.client import Client
from headgate.cli.printing import print_table
from headgate.cli.problems import ApiError, CliError
from headgate.cli.session import Session
from headgate.settings import Settings

DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Data directory to look at.", show_default="as serve")]
File = Annotated[Path | None, typer.Option("--config", help="Settings file to read.", show_default="as serve")]
Row = tuple[str, Finding]
SURROUNDINGS = {"database": surroundings.database, "redis": surroundings.redis, "tables": surroundings.tables}


def doctor(session: Session, data_dir: DataDir = None, config: File = None) -> None:
    """Check this machine, and the server if one is named; exit code 1 when something is broken."""
    loaded, settings_found = _settings({"data_dir": data_dir} if data_dir else {}, config)
    rows: list[Row] = [("settings", settings_found)]
    rows += [(name, check(loaded)) for name, check in {**checks.MACHINE, **SURROUNDINGS}.items()]
    rows += _server(session, loaded)
    session.print(
        [{"check": name, "verdict": one.verdict.value, "found": one.found, "advice": one.advice} for name, one in rows],
        lambda _: _print_rows(rows),
    )
    if any(one.verdict is Verdict.broken for _, one in rows):
        raise typer.Exit(1)


def _settings(overrides: dict[str, Path], config: Path | None) -> tuple[Settings, Finding]:
    try:
        return settings.load(overrides, file=config), Finding(Verdict.ok, "can be read")
    except settings.SettingsError as error:
        found = Finding(Verdict.broken, str(error), "correct it; the other checks assume defaults")
        return Settings().resolved(), found


def _server(session: Session, loaded: Settings) -> Iterator[Row]:
    """Reachability, token, and the endpoints that guardrails need; skipped where no server is named."""
    try:
        where = connection.resolve(session.wanted)
    except CliError as error:
        yield "server", Finding(Verdict.skipped, error.line())
        return
    client = Client(where, answer_timeout_s=10.0, retry_budget_s=0.0)
    try:
        client.get_text("/health")
        yield "server", Finding(Verdict.ok, f"{where.host} is healthy")
    except CliError as error:
        yield "server", Finding(Verdict.broken, error.line(), "start `headgate serve`, or correct host and port")
        return
    token = _token(client)
    yield "token", token
    if token.verdict is Verdict.ok:
        for setting in ("judge_endpoint", "embeddings_endpoint"):
            name = getattr(loaded.guardrails, setting)
            if name:
                yield setting, _endpoint(client, name, f"guardrails.{setting}")


def _endpoint(client: Client, name: str, setting: str) -> Finding:
    try:
        state = client.get(f"/api/2.0/serving-endpoints/{quote(name, safe='')}").get("state", {})
    except CliError as error:
        return Finding(Verdict.broken, error.line(), f"create the endpoint {name}, or correct {setting}")
    if state.get("ready") != "READY":
        advice = f"headgate serving-endpoints get {name} says why"
        return Finding(Verdict.broken, f"{name} is {state.get('ready')}, {state.get('config_update')}", advice)
    return Finding(Verdict.ok, f"{name} is ready")


def _token(client: Client) -> Finding:
    try:
        me = client.get("/api/2.0/preview/scim/v2/Me")
    except ApiError as error:
        if error.status not in (401, 403):
            return Finding(Verdict.broken, error.line(), "look at the server's log")
        return Finding(Verdict.broken, error.line(), "set DATABRICKS_TOKEN to a token of this server")
    except CliError as error:
        return Finding(Verdict.broken, error.line(), "look at the server's log")
    groups = ", ".join(str(group.get("display")) for group in me.get("groups", []))
    return Finding(
        Verdict.ok, f"belongs to {me.get('userName', 'an unnamed user')}" + (f", of {groups}" if groups else "")
    )


def _print_rows(rows: list[Row]) -> None:
    print_table(
        ("", "CHECK", "FOUND", "WHAT TO DO"),
        ((one.verdict.value, name, one.found, one.advice) for name, one in rows),
    )
