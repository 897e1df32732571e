"""What `headgate doctor` looks at on this machine: one function per check, each with a finding and what to do about it.

Findings never contain a secret.
"""

from __future__ import annotations

import enum
import json
import os
import resource
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from headgate.settings import Settings

GIB = 1024**3
SUBPROCESS_DEADLINE_S = 30.0


class Verdict(str, enum.Enum):
    """`broken` makes doctor exit with 1."""

    ok = "ok"
    warning = "warning"
    broken = "broken"
    skipped = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of the table."""

    verdict: Verdict
    found: str
    advice: str = ""


def python(_: Settings) -> Finding:
    return Finding(Verdict.ok, f"{sys.version.split()[0]} at {sys.executable}")


def uv(_: Settings) -> Finding:
    path = _uv_path()
    if path is None:
        return Finding(Verdict.broken, "not found", "pip install uv, into the environment headgate runs in")
    ran = _run(path, "--version")
    if ran is None:
        return Finding(Verdict.broken, f"{path} does not run", "pip install --force-reinstall uv")
    return Finding(Verdict.ok, f"{ran.strip()} at {path}")


def interpreters(settings: Settings) -> Finding:
    path = _uv_path()
    listed = path and _run(path, "python", "list", "--only-installed", "--output-format", "json")
    if not listed:
        return Finding(Verdict.skipped, "uv could not be asked")
    versions = sorted({tuple(int(part) for part in item["version"].split(".")[:2]) for item in _cpythons(listed)})
    found = ", ".join(f"{major}.{minor}" for major, minor in versions) or "none"
    if settings.environments.python_downloads == "never":
        return Finding(
            Verdict.ok, found, "models that need another Python fail: environments.python_downloads is never"
        )
    return Finding(Verdict.ok, f"{found}; uv downloads others when a model needs them")


def _cpythons(listed: str) -> list[dict[str, str]]:
    return [item for item in json.loads(listed) if item.get("implementation") == "cpython"]


def cgroups(_: Settings) -> Finding:
    root = Path("/sys/fs/cgroup")
    if not (root / "cgroup.controllers").exists():
        return Finding(Verdict.warning, "no cgroup v2", "memory is limited by rlimits instead; nothing to do")
    if not os.access(root / "cgroup.procs", os.W_OK):
        return Finding(
            Verdict.warning,
            "cgroup v2, not writable",
            "memory is limited by rlimits; to use cgroups delegate one to this user",
        )
    return Finding(Verdict.ok, "cgroup v2, writable")


def disk(settings: Settings) -> Finding:
    free = shutil.disk_usage(_nearest(settings.data_dir)).free
    found = f"{free / GIB:.1f} GiB free for {settings.data_dir}"
    advice = "environments of models take 0.5 to 10 GiB each: free some space or choose another --data-dir"
    if free < GIB:
        return Finding(Verdict.broken, found, advice)
    return Finding(Verdict.warning, found, advice) if free < 10 * GIB else Finding(Verdict.ok, found)


def data_dir(settings: Settings) -> Finding:
    folder = settings.data_dir
    if not folder.exists():
        nearest = _nearest(folder)
        if not os.access(nearest, os.W_OK | os.X_OK):
            return Finding(
                Verdict.broken, f"{folder} cannot be created", f"make {nearest} writable or choose another --data-dir"
            )
        return Finding(Verdict.ok, f"{folder} will be created")
    if not folder.is_dir() or not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return Finding(Verdict.broken, f"{folder} is not a folder this user can write", f"chown or chmod {folder}")
    private = (folder, folder / "admin-token", folder / "secret-key")
    open_to_others = [path for path in private if path.exists() and _others_may(path)]
    if open_to_others:
        paths = " ".join(str(path) for path in open_to_others)
        return Finding(Verdict.broken, f"other users may read {paths}", f"chmod go= {paths}")
    return Finding(Verdict.ok, str(folder))


def run_dir(settings: Settings) -> Finding:
    folder = settings.resolved().run_dir
    assert folder is not None  # resolved() fills it in
    longest = len(str(folder / "replicas" / ("x" * 32) / "worker.sock"))
    if longest > 107:
        return Finding(Verdict.broken, f"{folder} is too long for sockets", "set run_dir to a shorter path")
    if not os.access(_nearest(folder), os.W_OK | os.X_OK):
        return Finding(Verdict.broken, f"{folder} cannot be written", "set run_dir to a folder of your own")
    return Finding(Verdict.ok, str(folder))


def port(settings: Settings) -> Finding:
    where = f"{settings.host}:{settings.port}"
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((settings.host, settings.port))
    except OSError as error:
        return Finding(
            Verdict.warning,
            f"{where}: {error.strerror}",
            "fine if `headgate serve` is running there; else choose another --port",
        )
    return Finding(Verdict.ok, f"{where} is free")


def fork(_: Settings) -> Finding:
    """Zygotes need a fork whose child runs and can answer."""
    if not hasattr(os, "fork"):
        return Finding(Verdict.broken, "no fork on this system", "run Headgate on Linux")
    code = "import os; c = os.fork(); c or os._exit(7); raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(c, 0)[1]) != 7)"
    if _run(sys.executable, "-I", "-c", code) is None:
        return Finding(
            Verdict.warning, "a forked child did not answer", "replicas start slower: set replicas.zygotes=false"
        )
    return Finding(Verdict.ok, "works")


def open_files(_: Settings) -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = f"{soft} (hard limit {hard})"
    if soft < 256:
        return Finding(Verdict.broken, found, "ulimit -n 65536")
    return (
        Finding(Verdict.warning, found, "for many clients: ulimit -n 65536")
        if soft < 4096
        else Finding(Verdict.ok, found)
    )


MACHINE: dict[str, Callable[[Settings], Finding]] = {
    "python": python,
    "uv": uv,
    "interpreters": interpreters,
    "cgroups": cgroups,
    "disk": disk,
    "data_dir": data_dir,
    "run_dir": run_dir,
    "port": port,
    "fork": fork,
    "open files": open_files,
}


def _uv_path() -> str | None:
    try:
        from uv import find_uv_bin

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError):
        return shutil.which("uv")


def _run(*command: str) -> str | None:
    """Standard output, or None when the command failed."""
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=SUBPROCESS_DEADLINE_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return ran.stdout


def _nearest(path: Path) -> Path:
    """The path, or the closest folder above it that exists."""
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _others_may(path: Path) -> bool:
    return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))
