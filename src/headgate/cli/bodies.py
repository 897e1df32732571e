"""JSON bodies given on the command line, and the shapes of `create` and `update-config` people use. Pure but for reading."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import typer

CONFIG_KEYS = ("served_entities", "served_models", "traffic_config", "auto_capture_config")


def read(given: str) -> dict[str, Any]:
    """The object in `{…}`, `@file` or `@-` (standard input). Raises BadParameter."""
    source, text = "--json", given
    if given.startswith("@"):
        source = "standard input" if given == "@-" else given[1:]
        text = _read_source(given[1:])
    try:
        body = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"{source} is not valid JSON: {error}") from error
    if not isinstance(body, dict):
        raise typer.BadParameter(f"{source} must be a JSON object, not {type(body).__name__}")
    return body


def _read_source(name: str) -> str:
    if name == "-":
        return sys.stdin.read()
    try:
        return Path(name).expanduser().read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"cannot read {name}: {error}") from error


def for_create(name: str | None, body: dict[str, Any]) -> dict[str, Any]:
    """`{"name", "config": {…}, …}` from that, or from a body whose config keys are not wrapped. Raises BadParameter."""
    flat = {key: body[key] for key in CONFIG_KEYS if key in body}
    if flat and "config" in body:
        raise typer.BadParameter(f"{next(iter(flat))} is given both inside and outside of config")
    rest = {key: value for key, value in body.items() if key not in CONFIG_KEYS}
    if flat:
        rest["config"] = flat
    rest["name"] = _settle(name, body.get("name"))
    return rest


def for_update(name: str | None, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Name and flat config, from a flat body, `{"config": {…}}`, or the body `create` was given. Raises BadParameter."""
    config = body.get("config")
    if config is not None and not isinstance(config, dict):
        raise typer.BadParameter("config must be a JSON object")
    flat = {key: value for key, value in (body if config is None else config).items() if key != "name"}
    return _settle(name, body.get("name")), flat


def _settle(name: str | None, in_body: Any) -> str:
    """The command line's word wins over the body's."""
    settled = name or in_body
    if not settled or not isinstance(settled, str):
        raise typer.BadParameter('the endpoint\'s name is missing: give it as NAME, --name NAME, or "name" in --json')
    return settled
