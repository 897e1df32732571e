"""Our own server under comparison: a `headgate serve` of its own with default settings, and endpoints on it. Called by the bench scripts."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from bench.processes import Launch, ServerProcess, free_port

READY_DEADLINE_S = 900.0  # building an environment downloads


class House:
    """A running house; a context manager. Asked as a client asks it: registry over MLflow, the rest over the REST API."""

    def __init__(self, log: Path, **settings: str) -> None:
        """`settings` are environment variables (`HEADGATE_…`) besides the defaults."""
        self._temporary = tempfile.TemporaryDirectory(prefix="headgate-bench-", ignore_cleanup_errors=True)
        self.folder = Path(self._temporary.name)
        self.token, port = secrets.token_urlsafe(24), free_port()
        self.host = f"http://127.0.0.1:{port}"
        serve = ("-m", "headgate.cli.main", "serve", "--port", str(port), "--data-dir", str(self.folder / "data"))
        self._log = log
        self._launch = Launch(
            command=(sys.executable, *serve),
            url=f"{self.host}/health",
            body=b"",
            environ={"HEADGATE_ADMIN_TOKEN": self.token, **settings},
            folder=self.folder,
        )

    def __enter__(self) -> House:
        self.process = ServerProcess(self._launch, self._log)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(self._launch.url, timeout=5).close()
                return self
            except OSError:
                time.sleep(0.1)
        self.process.stop()
        raise RuntimeError(f"headgate serve does not start; its log is {self._log}")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.process.stop()
        self._temporary.cleanup()

    def register(self, folder: Path, model: str) -> None:
        """The MLflow model in `folder` as version 1 of `model`, through MLflow's own client."""
        command = [sys.executable, "-W", "ignore", "-m", "headgate.cli.main", "models", "register", str(folder), model]
        environ = {**os.environ, "DATABRICKS_HOST": self.host, "DATABRICKS_TOKEN": self.token}
        environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet"}
        environ.pop("DATABRICKS_CONFIG_PROFILE", None)
        done = subprocess.run(
            command, env=environ, cwd=self.folder, capture_output=True, text=True, timeout=300, check=False
        )
        if done.returncode:
            raise RuntimeError(f"models register: {done.stderr[-2000:]}")

    def create_endpoint(self, name: str, model: str, *, scale_to_zero: bool = False) -> float:
        """An awake endpoint of `model`'s version 1; seconds until READY. Raises RuntimeError when it fails."""
        entity = {
            "entity_name": model,
            "entity_version": "1",
            "workload_size": "Small",
            "scale_to_zero_enabled": scale_to_zero,
        }
        return self.create(name, {"name": name, "config": {"served_entities": [entity]}})

    def create(self, name: str, wish: Mapping[str, Any]) -> float:
        """An endpoint as the API takes it; seconds until READY. Raises RuntimeError when it fails."""
        began = time.monotonic()
        self._send("POST", "", wish)
        while time.monotonic() - began < READY_DEADLINE_S:
            state = self._send("GET", f"/{name}")["state"]
            if state["ready"] == "READY":
                return time.monotonic() - began
            if state["config_update"] == "UPDATE_FAILED":
                break
            time.sleep(0.1)
        raise RuntimeError(f"endpoint {name}: {self._send('GET', f'/{name}')}; log {self._log}")

    def delete_endpoint(self, name: str) -> None:
        self._send("DELETE", f"/{name}")

    def model_python(self) -> Path:
        """The interpreter of the one environment built so far."""
        return next((self.folder / "data" / "environments").glob("*/venv/bin/python"))

    def launch(self, endpoint: str, body: bytes) -> Launch:
        """How the endpoint is asked."""
        url = f"{self.host}/serving-endpoints/{endpoint}/invocations"
        return Launch(command=(), url=url, body=body, headers={"authorization": f"Bearer {self.token}"})

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        request = urllib.request.Request(
            f"{self.host}/api/2.0/serving-endpoints{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"authorization": f"Bearer {self.token}", "content-type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path}: {error.code} {error.read()[:1000]!r}") from error
