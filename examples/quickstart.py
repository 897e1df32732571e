"""`make quickstart`: starts `headgate serve` on a free port in a temporary folder, runs 01_quickstart.py, stops the server."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_DEADLINE_S, STOP_DEADLINE_S, RUN_DEADLINE_S = 60.0, 60.0, 1800.0


def main() -> int:
    """Runs everything; the exit code is that of the example."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server is stopped then, too
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="headgate-quickstart-", ignore_cleanup_errors=True) as folder:
        with server(Path(folder)) as (host, token):
            environ = {**os.environ, "DATABRICKS_HOST": host, "DATABRICKS_TOKEN": token}
            environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet"}
            environ.pop("DATABRICKS_CONFIG_PROFILE", None)
            example = Path(__file__).with_name("01_quickstart.py")
            code = subprocess.run(
                [sys.executable, "-W", "ignore", str(example)],
                env=environ,
                cwd=folder,
                timeout=RUN_DEADLINE_S,
                check=False,
            ).returncode
            if code:
                print_log(Path(folder) / "server.log")
        if not code:
            print(f"\nAll of it took {time.monotonic() - began:.1f} s. Now for real: `headgate serve`, see README.md.")
    return code


@contextmanager
def server(folder: Path) -> Iterator[tuple[str, str]]:
    """Address and token of a server that lives as long as the block."""
    began = time.monotonic()
    token, port = secrets.token_urlsafe(24), free_port()
    host = f"http://127.0.0.1:{port}"
    print(f"● headgate serve --port {port} --data-dir {folder / 'data'}", flush=True)
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "headgate.cli.main",
                "serve",
                "--port",
                str(port),
                "--data-dir",
                str(folder / "data"),
            ],
            env={**os.environ, "HEADGATE_ADMIN_TOKEN": token},
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        wait_until_healthy(process, host, folder / "server.log")
        print(f"  {time.monotonic() - began:.2f} s", flush=True)
        yield host, token
        began = time.monotonic()
        print("\n● stop the server", flush=True)
    finally:
        process.terminate()
        try:
            process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    print(f"  {time.monotonic() - began:.2f} s")


def wait_until_healthy(process: subprocess.Popen[bytes], host: str, log: Path) -> None:
    """Returns once GET /health answers 200. Raises SystemExit when the server ends or takes too long."""
    deadline = time.monotonic() + START_DEADLINE_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{host}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    print_log(log)
    raise SystemExit("the server did not start")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def print_log(log: Path) -> None:
    lines = log.read_text(errors="replace").splitlines()
    print("\nThe end of the server's log:", *lines[-30:], sep="\n  ", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
