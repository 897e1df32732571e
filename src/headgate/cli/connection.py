"""Which server and which token a client command uses: options, environment, or a profile in ~/.databrickscfg.

The same sources, in the same order, as Databricks' clients, so that one set-up serves all of them.
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from headgate.cli.problems import CliError


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line said."""

    host: str | None = None
    token: str | None = None
    profile: str | None = None


@dataclass(frozen=True, slots=True)
class Connection:
    """`host` is a base URL without a slash at its end."""

    host: str
    token: str = field(repr=False)


def resolve(wanted: Wanted, environ: Mapping[str, str] | None = None) -> Connection:
    """Options win over an explicit `--profile`, that over the environment, that over the profile named there or DEFAULT.

    The file is not consulted when a host or token came from elsewhere and no profile was named: a token must never
    travel to a host it was not written next to. Raises CliError when host or token is missing.
    """
    environ = os.environ if environ is None else environ
    named: Mapping[str, str] = {}
    if wanted.profile:
        named = _profile(wanted.profile, environ)
    else:
        named = {key: environ[f"DATABRICKS_{key.upper()}"] for key in ("host", "token") if _given(environ, key)}
        profile = environ.get("DATABRICKS_CONFIG_PROFILE", "")
        if profile or not (named or wanted.host or wanted.token):
            named = {**_profile(profile, environ), **named}
    host, token = wanted.host or named.get("host", ""), wanted.token or named.get("token", "")
    if not host:
        raise CliError("no server given: set DATABRICKS_HOST (e.g. http://127.0.0.1:8080), or use --host or --profile")
    if not token:
        raise CliError(
            "no token given: set DATABRICKS_TOKEN, or use --token or --profile; "
            "`headgate serve` keeps the administrator's in the file admin-token of its data directory"
        )
    return Connection(_base_url(host), token)


def _given(environ: Mapping[str, str], key: str) -> bool:
    return bool(environ.get(f"DATABRICKS_{key.upper()}"))


def _profile(name: str, environ: Mapping[str, str]) -> dict[str, str]:
    """One section of the profile file; empty name: DEFAULT, which may be absent."""
    path = Path(environ.get("DATABRICKS_CONFIG_FILE") or "~/.databrickscfg").expanduser()
    parser = configparser.ConfigParser(interpolation=None, default_section=" none ")
    try:
        parser.read_string(path.read_text() if path.exists() else "", source=str(path))
    except (configparser.Error, OSError, UnicodeDecodeError) as error:
        raise CliError(f"cannot read {path}: {error}") from error
    if name and name not in parser:
        known = ", ".join(parser.sections()) or "none"
        raise CliError(f"{path} has no profile [{name}]; it has: {known}")
    section = name or "DEFAULT"
    return dict(parser[section]) if section in parser else {}


def _base_url(host: str) -> str:
    if "://" not in host:
        local = host.split(":")[0] in ("localhost", "127.0.0.1", "0.0.0.0")
        host = f"http://{host}" if local else f"https://{host}"
    return host.rstrip("/")
