"""A real server process of the registry, started and killed as a test wants, and environments of the real clients."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
TOKEN = "registry-test-token"
UNITY_CATALOG = "/api/2.0/mlflow/unity-catalog"


@dataclass
class RegistryServer:
    """A server process; the data directory outlives it."""

    data_dir: Path
    process: subprocess.Popen[str] | None = None
    url: str = ""
    opener: urllib.request.OpenerDirector = field(
        default_factory=lambda: urllib.request.build_opener(urllib.request.ProxyHandler({}))
    )

    def start(self) -> None:
        environ = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONWARNINGS": "default"}
        command = [sys.executable, str(Path(__file__).with_name("registry_server.py")), str(self.data_dir)]
        self.process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the server did not start"
        self.url = f"http://127.0.0.1:{json.loads(line)['port']}"

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        if self.process is not None:
            self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        assert self.process is not None and self.process.stdout is not None
        self.process.send_signal(number)
        self.process.wait(60)
        self.process.stdout.close()
        self.process = None

    def environ(self) -> dict[str, str]:
        """What a client needs to find it."""
        return {"DATABRICKS_HOST": self.url, "DATABRICKS_TOKEN": TOKEN, "MLFLOW_REGISTRY_URI": "databricks-uc"}

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One call of the registry's API; `path` follows its prefix."""
        status, _, content = self.http(method, f"{UNITY_CATALOG}/{path}", json.dumps(body).encode() if body else None)
        assert status == 200, content
        found: dict[str, Any] = json.loads(content)
        return found

    def http(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Any call: status, headers, body. `path` may be a whole URL, which is then called without a token."""
        signed = path.startswith("http")
        request = urllib.request.Request(path if signed else self.url + path, data=body, method=method)
        if not signed:
            request.add_header("Authorization", f"Bearer {TOKEN}")
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        try:
            with self.opener.open(request, timeout=30) as answer:
                return answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, {name.lower(): value for name, value in error.headers.items()}, error.read()

    def published(self) -> list[str]:
        """Every file below the models folder that a reader could come across."""
        models = self.data_dir / "models"
        files = [path.relative_to(models).as_posix() for path in models.rglob("*") if path.is_file()]
        return sorted(path for path in files if not path.startswith("."))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RegistryServer]:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    made = RegistryServer(data_dir)
    made.start()
    yield made
    made.stop()
