"""`headgate audit …`: who changed or was refused what."""

from __future__ import annotations

import datetime
import time
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from headgate.cli import waiting
from headgate.cli.printing import print_table
from headgate.cli.session import Session, register

EVENTS = "/api/2.0/audit/events"
_PAGE = 1000

group = typer.Typer(no_args_is_help=True, help="Read the audit log; administrators only.")


@register(group, "list")
def list_events(
    session: Session,
    principal: Annotated[str | None, typer.Option("--principal", help="Name or id of who called.")] = None,
    outcome: Annotated[str | None, typer.Option("--outcome", help="DONE, REFUSED, FAILED or BEGUN.")] = None,
    action: Annotated[str | None, typer.Option("--action", help="E.g. update_config.")] = None,
    object: Annotated[
        str | None, typer.Option("--object", help="What it was done to, e.g. an endpoint's name.")
    ] = None,
    since: Annotated[
        float | None, typer.Option("--since", parser=waiting.duration_s, metavar="TIME", help="So long ago, e.g. 24h.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Most events.")] = 100,
) -> None:
    """Show events, the newest first."""
    asked = {"principal": principal, "outcome": outcome, "action_name": action, "object": object}
    params = {name: value for name, value in asked.items() if value}
    if since is not None:
        params["start_time"] = str(int((time.time() - since) * 1000))
    client, found = session.client(), list[dict[str, Any]]()
    while len(found) < limit:
        page = client.get(EVENTS, {**params, "max_results": str(min(_PAGE, limit - len(found)))})
        found += page.get("events", [])
        if not page.get("next_page_token"):
            break
        params["page_token"] = page["next_page_token"]
    session.print(found, _print_events)


def _print_events(events: Sequence[dict[str, Any]]) -> None:
    print_table(("TIME", "WHO", "FROM", "WHAT", "OBJECT", "OUTCOME"), (_row(event) for event in events))


def _row(event: dict[str, Any]) -> list[str]:
    at = datetime.datetime.fromtimestamp(event["event_time"] / 1000, datetime.timezone.utc)
    what = f"{event['service_name']}: {event['action_name']}" if event["action_name"] else event["path"]
    outcome = f"{event['outcome']} {event['response']['status_code'] or ''}".strip()
    times = f" ×{event['count']}" if event["count"] > 1 else ""
    who = event["user_identity"]["user_name"] or "?"
    return [f"{at:%Y-%m-%d %H:%M:%S}", who, event["source_ip_address"], what, event["object"], outcome + times]
