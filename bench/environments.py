"""The peers' virtual environments: which versions, and making them with uv below a cache folder. Called by `bench.compare`.

Every version that matters to a number is in `REQUIREMENTS`; a changed line makes that environment anew.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

# What a model needs, the same in every environment, ours included. scikit-learn 1.8 and pandas 3 left Python 3.10 behind.
MODEL_REQUIREMENTS = (
    "mlflow==3.17.2",
    "scikit-learn==1.9.1; python_version >= '3.11'",
    "scikit-learn==1.7.2; python_version < '3.11'",
    "pandas==3.1.1; python_version >= '3.11'",
    "pandas==2.3.3; python_version < '3.11'",
)

REQUIREMENTS: dict[str, tuple[str, ...]] = {
    # Also trains the models.
    "fastapi": (
        *MODEL_REQUIREMENTS,
        "fastapi==0.165.0",
        "uvicorn==0.54.0",
        "uvloop==0.23.0",
        "httptools==0.9.0",
    ),
    # Its server is uvicorn: on plain asyncio and h11 it is slower still.
    "mlflow": (*MODEL_REQUIREMENTS, "uvloop==0.23.0", "httptools==0.9.0"),
    # Does not start with a newer uvloop.
    "mlserver": (*MODEL_REQUIREMENTS, "mlserver==1.7.1", "mlserver-mlflow==1.7.1", "uvloop<0.22"),
    "litserve": (*MODEL_REQUIREMENTS, "litserve==0.2.19"),
    # Gateways to language models.
    "litellm": ("litellm[proxy]==1.106.2",),
    "mlflow-gateway": ("mlflow[gateway]==3.17.2", "uvloop==0.23.0", "httptools==0.9.0"),
    # HTTP clients, and what ours imports.
    "clients": (
        "aiohttp==3.14.5",
        "pyreqwest==0.15.1",
        "httpx==0.28.1",
        "uvloop==0.23.0",
        "httptools==0.9.0",
        "orjson>=3.10",
        "prometheus-client>=0.21",
    ),
}


# What runs in the environments made here.
GUESTS = Path(__file__).parent / "guests"


def cache_folder() -> Path:
    """Where environments, models and logs live between runs: `headgate-bench` in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headgate-bench"


def environment(name: str) -> Path:
    """Folder of the peer's environment, made first where it is missing or its requirements changed. Raises SystemExit."""
    folder = cache_folder() / "environments" / name
    mark, wanted = folder / "bench-requirements.txt", "\n".join(REQUIREMENTS[name]) + "\n"
    if mark.is_file() and mark.read_text() == wanted:
        return folder
    print(f"● environment {name}", flush=True)
    run_uv("venv", "--clear", "--python", sys.executable, str(folder))
    run_uv("pip", "install", "--compile-bytecode", "--python", str(folder / "bin" / "python"), *REQUIREMENTS[name])
    mark.write_text(wanted)
    return folder


def log_of(server: str) -> Path:
    """File for what a server prints."""
    return cache_folder() / "logs" / f"{server}.log"


def run_uv(*arguments: str) -> None:
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if uv is None:
        raise SystemExit("uv is missing: use `make bench`")
    made = subprocess.run([uv, arguments[0], "--quiet", *arguments[1:]], capture_output=True, text=True, check=False)
    if made.returncode:
        raise SystemExit(f"uv {' '.join(arguments)}\n{made.stderr[-3000:]}")


def installed_versions(name: str, *distributions: str) -> dict[str, str]:
    """Distribution -> version in the peer's environment."""
    asked = "import sys, importlib.metadata as m; [print(d, m.version(d)) for d in sys.argv[1:]]"
    python = environment(name) / "bin" / "python"
    out = subprocess.run([python, "-c", asked, *distributions], capture_output=True, text=True, check=True).stdout
    return dict(line.split(maxsplit=1) for line in out.splitlines())
