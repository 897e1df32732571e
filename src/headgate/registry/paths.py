"""Paths of the Files API that lead into the registry: `/Models/<catalog>/<schema>/<model>/<version>/<file>`."""

from __future__ import annotations

from dataclasses import dataclass

from headgate import errors
from headgate.domain.registered_model import ModelName, version_number
from headgate.registry.storage import checked_path

ROOT = "/Models/"


@dataclass(frozen=True, slots=True)
class FilePath:
    """A file or folder of a model version."""

    name: ModelName
    version: int
    path: str
    """Inside the version; empty for its top folder."""
    text: str
    """As the client wrote it, without a trailing slash: what an answer's paths must begin with."""


def parse(text: str) -> FilePath:
    """Raises NotFound for what is not below /Models, InvalidParameterValue for what is no version's path."""
    text = "/" + text.strip("/")
    if not text.startswith(ROOT):
        raise errors.NotFound(f"{text} does not exist: only files of registered models, below {ROOT}, are kept here.")
    parts = text.removeprefix(ROOT).split("/", 4)
    if len(parts) < 4:
        raise errors.NotFound(f"{text} is no model version: name one as {ROOT}<catalog>/<schema>/<model>/<version>.")
    name = ModelName.parse(".".join(parts[:3]))
    path = checked_path(parts[4]) if len(parts) == 5 else ""
    return FilePath(name, version_number(parts[3]), path, text)


def parse_file(text: str) -> FilePath:
    """The same for a file, which the top folder is not. Raises InvalidParameterValue."""
    found = parse(text)
    if not found.path:
        raise errors.InvalidParameterValue(f"{found.text} is a model version, not a file of it.")
    return found
