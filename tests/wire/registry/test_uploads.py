"""Uploads are atomic, survive kill -9 of either side, and do not fill memory. Judged over real HTTP."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytestmark = pytest.mark.wire

NAME = "main.default.churn"
FOLDER = "/Models/main/default/churn"
MLMODEL = b"""
flavors: {python_function: {loader_module: mlflow.sklearn, python_version: 3.11.0, env: {virtualenv: python_env.yaml}}}
signature: {inputs: '[{"type": "double", "name": "x"}]', outputs: '[{"type": "long"}]', params: null}
"""


def wait_until(true: Callable[[], bool], what: str, deadline_s: float = 60.0) -> None:
    until = time.monotonic() + deadline_s
    while not true():
        assert time.monotonic() < until, f"{what}: not within {deadline_s} s"
        time.sleep(0.02)  # polls a condition


def begin(server: Any) -> str:
    """A model with a version to upload to; its number."""
    server.http("POST", "/api/2.0/mlflow/unity-catalog/registered-models/create", b'{"name": "%s"}' % NAME.encode())
    version = server.call("POST", "model-versions/create", {"name": NAME, "source": "somewhere"})["model_version"]
    assert version["status"] == "PENDING_REGISTRATION"
    return str(version["version"])


def upload_url(server: Any, path: str) -> str:
    status, _, body = server.http("POST", "/api/2.0/fs/create-upload-url", b'{"path": "%s"}' % path.encode())
    assert status == 200, body
    return str(json.loads(body)["url"])


def upload(server: Any, version: str, file: str, content: bytes) -> None:
    status, _, body = server.http("PUT", upload_url(server, f"{FOLDER}/{version}/{file}"), content)
    assert status == 200, body


def status_of(server: Any, version: str) -> str:
    return str(server.call("GET", f"model-versions/get?name={NAME}&version={version}")["model_version"]["status"])


def partial(server: Any) -> list[Path]:
    folder = server.data_dir / "models" / ".partial"
    return list(folder.iterdir()) if folder.exists() else []


def test_a_client_killed_in_the_middle_of_a_file_leaves_nothing(server: Any) -> None:
    version = begin(server)
    url = urlsplit(upload_url(server, f"{FOLDER}/{version}/weights.bin"))
    script = (
        "import socket, sys, time\n"
        f"s = socket.create_connection(('127.0.0.1', {url.port}))\n"
        f"s.sendall(b'PUT {url.path}?{url.query} HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 1000000000\\r\\n\\r\\n')\n"
        "s.sendall(bytes(8_000_000)); print('half', flush=True); time.sleep(600)\n"
    )
    client = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert client.stdout is not None and client.stdout.readline() == b"half\n"
    wait_until(lambda: any(path.stat().st_size > 1_000_000 for path in partial(server)), "bytes arrive")
    client.kill()
    client.wait(60)
    client.stdout.close()

    wait_until(lambda: not partial(server), "the half file goes")
    assert server.published() == []
    assert status_of(server, version) == "PENDING_REGISTRATION"
    status, _, body = server.http("GET", f"/api/2.0/fs/directories{FOLDER}/{version}")
    assert status == 400 and b"PENDING_REGISTRATION" in body


def test_a_version_whose_mlmodel_never_came_fails_and_says_so(server: Any) -> None:
    version = begin(server)
    upload(server, version, "weights.bin", b"x" * 1000)
    body = b'{"name": "%s", "version": "%s"}' % (NAME.encode(), version.encode())
    status, _, answer = server.http("POST", "/api/2.0/mlflow/unity-catalog/model-versions/finalize", body)
    assert status == 400 and b"INVALID_PARAMETER_VALUE" in answer and b"MLmodel" in answer
    assert status_of(server, version) == "FAILED_REGISTRATION"
    assert server.published() == []


def test_a_server_killed_between_upload_and_finalize_loses_nothing(server: Any) -> None:
    version = begin(server)
    upload(server, version, "MLmodel", MLMODEL)
    upload(server, version, "data/weights.bin", b"w" * 3_000_000)
    server.kill()
    server.start()
    assert status_of(server, version) == "PENDING_REGISTRATION"
    assert server.published() == []

    final = server.call("POST", "model-versions/finalize", {"name": NAME, "version": version})["model_version"]
    assert final["status"] == "READY"
    server.kill()
    server.start()
    assert status_of(server, version) == "READY"
    status, _, content = server.http("GET", f"/api/2.0/fs/files{FOLDER}/{version}/data/weights.bin")
    assert (status, content) == (200, b"w" * 3_000_000)


def test_a_server_killed_during_an_upload_leaves_nothing_of_the_file(server: Any) -> None:
    version = begin(server)
    upload(server, version, "MLmodel", MLMODEL)
    url = urlsplit(upload_url(server, f"{FOLDER}/{version}/weights.bin"))
    with socket.create_connection(("127.0.0.1", url.port)) as connection:
        head = f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n"
        connection.sendall(head.encode() + bytes(4_000_000))
        wait_until(lambda: any(path.stat().st_size > 1_000_000 for path in partial(server)), "bytes arrive")
        server.kill()
    server.start()
    server.call("POST", "model-versions/finalize", {"name": NAME, "version": version})
    assert server.published() == [f"main/default/churn/{version}/MLmodel"]


def test_a_finalized_version_takes_no_more_files(server: Any) -> None:
    version = begin(server)
    upload(server, version, "MLmodel", MLMODEL)
    url = upload_url(server, f"{FOLDER}/{version}/late.bin")
    server.call("POST", "model-versions/finalize", {"name": NAME, "version": version})
    status, _, body = server.http("PUT", url, b"late")
    assert status == 400 and b"INVALID_STATE" in body
    assert server.published() == [f"main/default/churn/{version}/MLmodel"]


def test_ranges_and_heads_of_files_are_answered(server: Any) -> None:
    version = begin(server)
    upload(server, version, "MLmodel", MLMODEL)
    upload(server, version, "data/digits.txt", b"0123456789")
    server.call("POST", "model-versions/finalize", {"name": NAME, "version": version})
    path = f"/api/2.0/fs/files{FOLDER}/{version}/data/digits.txt"

    def ranged(value: str) -> tuple[int, str | None, bytes]:
        status, headers, body = server.http("GET", path, headers={"Range": value})
        return status, headers.get("content-range"), body

    assert ranged("bytes=2-4") == (206, "bytes 2-4/10", b"234")
    assert ranged("bytes=7-") == (206, "bytes 7-9/10", b"789")
    assert ranged("bytes=-3") == (206, "bytes 7-9/10", b"789")
    assert ranged("bytes=8-99") == (206, "bytes 8-9/10", b"89")
    assert ranged("lines=1-2") == (200, None, b"0123456789")
    status, content_range, body = ranged("bytes=10-")
    assert (status, content_range) == (416, "bytes */10") and b"error_code" in body
    status, headers, body = server.http("HEAD", path)
    assert (status, headers["content-length"], headers["accept-ranges"], body) == (200, "10", "bytes", b"")
    assert headers["x-content-type-options"] == "nosniff"
    assert server.http("HEAD", f"/api/2.0/fs/directories{FOLDER}/{version}/data")[0] == 200
    assert server.http("HEAD", f"/api/2.0/fs/directories{FOLDER}/{version}/none")[0] == 404


def test_signed_urls_are_for_one_method_and_one_path_without_a_token(server: Any) -> None:
    version = begin(server)
    url = upload_url(server, f"{FOLDER}/{version}/MLmodel")
    assert server.http("GET", url)[0] == 403
    assert server.http("PUT", url.replace("MLmodel", "MLmodel2"), b"x")[0] == 403
    status, _, body = server.http("PUT", url.replace("signature=", "signature=0"), b"x")
    assert status == 403 and b'"error_code":"PERMISSION_DENIED"' in body
    assert server.http("PUT", url, MLMODEL)[0] == 200
    status, _, body = server.http("PUT", server.url + f"/api/2.0/fs/files{FOLDER}/{version}/MLmodel", b"x")
    assert status == 401, "files without a signature need a token"


@pytest.mark.parametrize("path", ["../../../escape", "a/../../escape", "%2e%2e/%2e%2e/escape", "a//b", "data/.."])
def test_paths_that_lead_elsewhere_are_refused(server: Any, path: str) -> None:
    version = begin(server)
    status, _, body = server.http("PUT", f"/api/2.0/fs/files{FOLDER}/{version}/{path}", b"x")
    assert status in (400, 404) and b"error_code" in body
    assert not list(server.data_dir.rglob("*escape*"))
