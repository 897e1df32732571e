"""`headgate serving-endpoints query`: one inference request, its answer whole or as it streams."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from headgate.cli.endpoints import Json, group
from headgate.cli.printing import Format, print_json
from headgate.cli.problems import CliError
from headgate.cli.session import Session, register

if TYPE_CHECKING:
    import requests

Stream = Annotated[bool, typer.Option("--stream", help="Ask for a stream and print each event's data as it arrives.")]
Entity = Annotated[
    str | None, typer.Option("--served-model", help="Ask this served entity, whatever the traffic config says.")
]


@register(group, "query")
def query(session: Session, name: str, body: Json, stream: Stream = False, entity: Entity = None) -> None:
    """Send a request to an endpoint and print its answer."""
    request = {**body, "stream": True} if stream else body
    chosen = f"/served-models/{quote(entity, safe='')}" if entity else ""
    path = f"/serving-endpoints/{quote(name, safe='')}{chosen}/invocations"
    with session.client().invoke(path, request) as answer:
        if answer.headers.get("Content-Type", "").startswith("text/event-stream"):
            _print_events(answer, session.format)
        else:
            _print_whole(answer)


def _print_whole(answer: requests.Response) -> None:
    try:
        print_json(answer.json())
    except ValueError:
        sys.stdout.write(answer.text)


def _print_events(answer: requests.Response, form: Format) -> None:
    """One line per event; for a person, a chat answer's words as they come. Raises CliError on an error event."""
    wrote_words = False
    for data in _events(answer):
        if data == "[DONE]":
            break
        event = _parsed(data)
        if isinstance(event, dict) and (event.get("error") or event.get("error_code")):
            raise CliError(f"the stream broke off: {_error_message(event)}")
        words = _words(event) if form is Format.text else None
        wrote_words = wrote_words or words is not None
        sys.stdout.write(f"{data}\n" if words is None else words)
        sys.stdout.flush()
    if wrote_words:
        sys.stdout.write("\n")


def _events(answer: requests.Response) -> Iterator[str]:
    """The data of each server-sent event; several data lines of one event are joined by line breaks."""
    data: list[str] = []
    for raw in answer.iter_lines(chunk_size=1):
        line = raw.decode("utf-8", "replace")
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line and data:
            yield "\n".join(data)
            data = []
    if data:
        yield "\n".join(data)


def _parsed(data: str) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data


def _error_message(event: dict[str, Any]) -> str:
    error = event.get("error")
    told = error.get("message") if isinstance(error, dict) else error
    return str(told or event.get("message") or event)


def _words(event: Any) -> str | None:
    """What a chat completion chunk adds to the answer; None for any other event."""
    if not isinstance(event, dict) or not isinstance(event.get("choices"), list):
        return None
    return "".join(choice.get("delta", {}).get("content") or "" for choice in event["choices"])
