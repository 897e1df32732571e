"""Official clients as judges, each in an environment of its own.

For the wire and scenario tests: `client_python("mlflow==2.22.*")` is the interpreter of a virtual environment holding
exactly that, built with uv once and kept in a cache folder shared by all test runs (`HEADGATE_TESTS_CACHE`, else
`$XDG_CACHE_HOME/headgate-tests`).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

BUILD_DEADLINE_S = 900.0
OLD_MLFLOW = ("mlflow==2.22.*", "sqlalchemy<2.1", "databricks-sdk>=0.59,<1", "scikit-learn", "opentelemetry-sdk<1.34")
"""The oldest supported with what it still works with: it predates SQLAlchemy 2.1, and traces with the OpenTelemetry of its time only.
The SDK makes its Databricks calls."""


def cache_folder() -> Path:
    """Where built environments are kept between runs."""
    named = os.environ.get("HEADGATE_TESTS_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headgate-tests"


def client_python(*requirements: str, alone: Sequence[str] = (), python: str = "") -> Path:
    """The interpreter of an environment with these requirements; `python` is a version or path, else the one running.

    `alone` are installed without what they require. Safe to call from several test processes at once. Raises AssertionError
    with uv's output when it cannot be built.
    """
    interpreter = python or sys.executable
    wanted = [interpreter, sorted(requirements), *([sorted(alone)] if alone else [])]
    key = hashlib.sha256(json.dumps(wanted).encode()).hexdigest()[:16]
    folder = cache_folder() / key
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released when the builder dies, however it dies
        built = folder / "venv" / "bin" / "python"
        if not (folder / "complete").exists():
            shutil.rmtree(folder / "venv", ignore_errors=True)
            _uv("venv", "--quiet", "--python", interpreter, str(folder / "venv"))
            _uv("pip", "install", "--quiet", "--python", str(built), *requirements)
            if alone:
                _uv("pip", "install", "--quiet", "--no-deps", "--python", str(built), *alone)
            (folder / "complete").write_text("\n".join(sorted([*requirements, *alone])))
    return built


@dataclass(frozen=True)
class Outcome:
    """What a client's script did."""

    returncode: int
    stdout: str
    stderr: str

    def json(self) -> object:
        """The last line of standard output, decoded; asserts that the script succeeded."""
        assert self.returncode == 0, f"the client's script failed:\n{self.stdout}\n{self.stderr}"
        return json.loads(self.stdout.strip().splitlines()[-1])


def run_client(
    python: Path | str,
    script: str,
    environ: Mapping[str, str],
    arguments: Sequence[str] = (),
    deadline_s: float = 240.0,
) -> Outcome:
    """Runs a script in a client's environment; nothing of this process's Python or Databricks settings leaks in."""
    done = subprocess.run(
        [str(python), "-c", script, *arguments],
        env=client_environ(environ),
        capture_output=True,
        text=True,
        timeout=deadline_s,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def client_environ(more: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without what would point a client or its Python elsewhere, plus `more`."""
    foreign = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in foreign and not name.startswith(("DATABRICKS_", "MLFLOW_", "HEADGATE_"))
    }
    return {**kept, "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost", **more}


def _uv(*arguments: str) -> None:
    import uv

    # pip's own settings are the machine's: uv reads the same under names of its own.
    settings = {"UV_FIND_LINKS": "PIP_FIND_LINKS", "UV_EXTRA_INDEX_URL": "PIP_EXTRA_INDEX_URL"}
    environ = dict(os.environ)
    for ours, pips in settings.items():
        if pips in environ:
            environ.setdefault(ours, environ[pips])
    _run([uv.find_uv_bin(), *arguments], environ)


def _run(command: Sequence[str], environ: Mapping[str, str]) -> None:
    done = subprocess.run(
        command, env=dict(environ), capture_output=True, text=True, timeout=BUILD_DEADLINE_S, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}"
