"""Translates pip's configuration (PIP_* variables, pip.conf files) into uv's, so that a machine set up for pip just works.

Called by the build. Whatever is set as a UV_* variable wins. Knows the settings that say *where packages come from*, no others.
"""

from __future__ import annotations

import configparser
import sys
from collections.abc import Mapping
from pathlib import Path

_UV_NAMES = {
    "index-url": ("UV_DEFAULT_INDEX", "UV_INDEX_URL"),
    "extra-index-url": ("UV_INDEX", "UV_EXTRA_INDEX_URL"),
    "find-links": ("UV_FIND_LINKS",),
    "trusted-host": ("UV_INSECURE_HOST",),
    "cert": ("SSL_CERT_FILE",),
}
"""pip's name -> uv's variable, then older names of the same that also win over pip's."""


def uv_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """UV_* (and SSL_CERT_FILE) variables that say what pip's configuration says; only those not in `environ` yet."""
    pip = _configured(environ)
    found = {
        names[0]: ("," if name == "find-links" else " ").join(pip[name].split())
        for name, names in _UV_NAMES.items()
        if pip.get(name, "").strip() and not any(other in environ for other in names)
    }
    if "UV_INDEX" in found and "UV_INDEX_STRATEGY" not in environ:
        # pip takes the best version of all indexes; uv by default only looks at the first that knows a name.
        found["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return found


def _configured(environ: Mapping[str, str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for path in _files(environ):
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue  # pip itself would refuse; uv can do without
        for section in ("global", "install"):
            if parser.has_section(section):
                values.update(parser.items(section))
    for name in _UV_NAMES:
        variable = f"PIP_{name.upper().replace('-', '_')}"
        if environ.get(variable):
            values[name] = environ[variable]
    return values


def _files(environ: Mapping[str, str]) -> list[Path]:
    """pip's configuration files, the strongest last."""
    named = environ.get("PIP_CONFIG_FILE")
    if named == "/dev/null":
        return []
    home = Path(environ.get("HOME") or "~").expanduser()
    personal = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    found = [
        Path("/etc/xdg/pip/pip.conf"),
        Path("/etc/pip.conf"),
        home / ".pip/pip.conf",
        personal / "pip/pip.conf",
        Path(sys.prefix) / "pip.conf",
    ]
    return [*found, Path(named)] if named else found
