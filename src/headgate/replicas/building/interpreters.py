"""Finds the Python an environment asks for: the exact version if it is there, else the same minor version. Called by the build."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

OLDEST = (3, 9)
"""Oldest Python our guest package runs on."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python on this machine."""

    version: tuple[int, ...]
    path: str

    def __str__(self) -> str:
        return ".".join(map(str, self.version))


class NoInterpreter(Exception):
    """No Python on this machine matches; the message says which are there and what to do."""


def choose(wanted: str, present: Iterable[Interpreter], *, may_download: bool) -> str:
    """What to hand to `uv venv --python`: a path, or a version for uv to download. Raises NoInterpreter.

    `wanted` is `3.11.7`, `3.11` or empty (our own version). A Python of the same minor version is as good as the exact one:
    packages are built per minor version.
    """
    version = parse(wanted) if wanted else tuple(sys.version_info[:3])
    if len(version) < 2:
        raise NoInterpreter(f"the model asks for Python {wanted!r}, which is not a version like 3.11 or 3.11.7")
    if version[:2] < OLDEST:
        raise NoInterpreter(
            f"the model asks for Python {wanted}; models need Python {OLDEST[0]}.{OLDEST[1]} or newer. "
            "Log the model again from a newer Python"
        )
    known = list(present)
    fitting = [item for item in known if item.version[:2] == version[:2]]
    exact = [item for item in fitting if item.version == version]
    if exact or fitting:
        return (exact or sorted(fitting, key=lambda item: item.version, reverse=True))[0].path
    if may_download:
        return f"{version[0]}.{version[1]}"
    raise NoInterpreter(missing(wanted, known))


def has_exactly(wanted: str, present: Iterable[Interpreter]) -> bool:
    """Whether the very version is there, so that no other can be chosen."""
    version = parse(wanted) if wanted else tuple(sys.version_info[:3])
    return any(item.version == version for item in present)


def missing(wanted: str, present: Iterable[Interpreter]) -> str:
    """The message for a Python that is not there."""
    versions = sorted({item.version for item in present if item.version >= OLDEST})
    there = ", ".join(".".join(map(str, version)) for version in versions) or "none"
    minor = ".".join(wanted.split(".")[:2])
    return (
        f"the model asks for Python {wanted}, and no Python {minor} is on this machine (there: {there}). Install one, e.g. with "
        f"`uv python install {minor}`, or set environments.python_downloads to automatic, or log the model from a Python that is there"
    )


def parse(text: str) -> tuple[int, ...]:
    """`3.11.7` as numbers; suffixes such as `rc1` are left out. Empty when it is no version."""
    match = re.match(r"^\s*(\d+(?:\.\d+){0,2})", text)
    return tuple(int(part) for part in match.group(1).split(".")) if match else ()


def local(environ: Mapping[str, str]) -> list[Interpreter]:
    """Our own Python and those of pyenv, which are on nobody's PATH."""
    own = getattr(sys, "_base_executable", "") or sys.executable
    found = [Interpreter(tuple(sys.version_info[:3]), own)]
    root = Path(environ.get("PYENV_ROOT") or Path(environ.get("HOME") or "~").expanduser() / ".pyenv")
    for path in sorted(root.glob("versions/*/bin/python")):
        if re.fullmatch(r"\d+\.\d+\.\d+", path.parts[-3]):
            found.append(Interpreter(parse(path.parts[-3]), str(path)))
    return found


def from_uv(listing: str) -> list[Interpreter]:
    """Interpreters in the output of `uv python list --only-installed --output-format json`; shims are left out."""
    start = listing.find("[\n") if not listing.startswith("[") else 0
    try:
        rows, _ = json.JSONDecoder().raw_decode(listing[start:])
        return [
            Interpreter(parse(row["version"]), row["path"])
            for row in rows
            if row["implementation"] == "cpython"
            and row.get("variant", "default") == "default"
            and "/shims/" not in row["path"]
        ]
    except (ValueError, KeyError, TypeError):
        return []
