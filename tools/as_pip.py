"""Runs a command with uv told where pip is configured to look: `python tools/as_pip.py COMMAND…`.

uv does not read pip's configuration. Used by the Makefile, so that whatever makes `pip install` work on a machine (a mirror,
a folder of wheels) also works for `uv pip install` and for the environments Headgate builds. A UV_* variable already set stays.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys

# pip's setting -> uv's variables; pip takes the best version from all indexes, which uv must be asked to do.
SETTINGS = {
    "find-links": {"UV_FIND_LINKS": "{}"},
    "index-url": {"UV_DEFAULT_INDEX": "{}"},
    "extra-index-url": {"UV_INDEX": "{}", "UV_INDEX_STRATEGY": "unsafe-best-match"},
    "cert": {"SSL_CERT_FILE": "{}"},
}


def main() -> None:
    """Replaces this process by the command."""
    for name, value in pip_settings().items():
        for variable, pattern in SETTINGS.get(name, {}).items():
            joined = " ".join(value.split())
            separated = joined.replace(" ", ",") if variable == "UV_FIND_LINKS" else joined
            os.environ.setdefault(variable, pattern.format(separated))
    os.execvp(sys.argv[1], sys.argv[1:])


def pip_settings() -> dict[str, str]:
    """Name -> value, as `pip config list` shows them: `global.find-links='…'`; `:env:.…` and `install.…` win."""
    found: dict[str, dict[str, str]] = {}
    for line in _listed().splitlines():
        key, equals, value = line.partition("=")
        section, _, name = key.rpartition(".")
        if equals:
            found.setdefault(section, {})[name] = str(ast.literal_eval(value))
    return {**found.get("global", {}), **found.get("install", {}), **found.get(":env:", {})}


def _listed() -> str:
    for command in ([sys.executable, "-m", "pip"], [shutil.which("python3") or "python3", "-m", "pip"]):
        asked = subprocess.run([*command, "config", "list"], capture_output=True, text=True, check=False)
        if asked.returncode == 0:
            return asked.stdout
    return ""


if __name__ == "__main__":
    main()
