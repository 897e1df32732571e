"""Large models, broken-off registrations and the SDK's own Files API, with the real clients."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.wire import clients

pytestmark = pytest.mark.wire

NAME = "main.default.large"
# A model folder as MLflow writes it, less the time MLflow takes to write it.
FOLDER = """
import os, sys
from pathlib import Path
import mlflow
folder = Path(sys.argv[1]) / "model"
(folder / "artifacts").mkdir(parents=True)
(folder / "MLmodel").write_text('''
flavors: {python_function: {loader_module: mlflow.sklearn, python_version: 3.11.0, env: {virtualenv: python_env.yaml}}}
signature: {inputs: '[{"type": "double", "name": "x"}]', outputs: '[{"type": "long"}]', params: null}
''')
mlflow.set_tracking_uri(f"sqlite:///{sys.argv[1]}/tracking.db")
mlflow.set_registry_uri("databricks-uc")
"""
REGISTER_LARGE = """
import hashlib, json
from mlflow.store.artifact.presigned_url_artifact_repo import PresignedUrlArtifactRepository
contents = {f"artifacts/{n:03}.bin": os.urandom(1024**2) for n in range(99)}
contents["artifacts/huge.bin"] = os.urandom(101 * 1024**2)
for name, content in contents.items():
    (folder / name).write_bytes(content)
version = mlflow.register_model(str(folder), "NAME")
back = Path(mlflow.artifacts.download_artifacts("models:/NAME/1", dst_path=sys.argv[1] + "/back"))
same = all((back / name).read_bytes() == content for name, content in contents.items())
print(json.dumps([version.status, same, len(contents)]))
""".replace("NAME", NAME)
DIE_IN_THE_MIDDLE = """
import signal
from mlflow.store.artifact.presigned_url_artifact_repo import PresignedUrlArtifactRepository as Repository
for n in range(8):
    (folder / "artifacts" / f"{n}.bin").write_bytes(os.urandom(1024**2))
upload, sent = Repository._upload_to_cloud, []
def upload_or_die(self, *arguments, **keywords):
    sent.append(1)
    if len(sent) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return upload(self, *arguments, **keywords)
Repository._upload_to_cloud = upload_or_die
mlflow.register_model(str(folder), "NAME")
""".replace("NAME", NAME)
REGISTER_AGAIN = """
import json
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
try:
    mlflow.artifacts.download_artifacts("models:/NAME/1")
    first = "could be downloaded"
except MlflowException as error:
    first = str(error)
version = mlflow.register_model(str(folder), "NAME")
versions = {found.version: found.status for found in MlflowClient().search_model_versions("name='NAME'")}
print(json.dumps([first, version.version, versions]))
""".replace("NAME", NAME)
SDK_FILES = """
import io, json
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import NotFound, InvalidState
w = WorkspaceClient()
def call(method, path, **body):
    return w.api_client.do(method, f"/api/2.0/mlflow/unity-catalog/{path}", body=body)
call("POST", "registered-models/create", name="NAME")
number = call("POST", "model-versions/create", name="NAME", source="x")["model_version"]["version"]
root = f"/Models/main/default/large/{number}"
mlmodel = (folder / "MLmodel").read_bytes()
big = os.urandom(60 * 1024**2)
w.files.upload(f"{root}/MLmodel", io.BytesIO(mlmodel), overwrite=True)
w.files.upload(f"{root}/artifacts/a b.bin", io.BytesIO(big), overwrite=True)
w.files.upload(f"{root}/wrong.bin", io.BytesIO(b"x"), overwrite=True)
w.files.delete(f"{root}/wrong.bin")
call("POST", "model-versions/finalize", name="NAME", version=number)
seen = {"top": [(e.name, e.is_directory, e.file_size) for e in w.files.list_directory_contents(root)]}
seen["same"] = w.files.download(f"{root}/artifacts/a b.bin").contents.read() == big
seen["length"] = w.files.get_metadata(f"{root}/MLmodel").content_length == len(mlmodel)
w.files.get_directory_metadata(f"{root}/artifacts")
for case, call_it in {
    "absent file": lambda: w.files.download(f"{root}/absent"),
    "absent folder": lambda: list(w.files.list_directory_contents(f"{root}/absent")),
    "folder that is a file": lambda: list(w.files.list_directory_contents(f"{root}/MLmodel")),
    "elsewhere": lambda: w.files.download("/Volumes/a/b/c/d"),
}.items():
    try:
        call_it()
        seen[case] = "found"
    except NotFound:
        seen[case] = "NotFound"
try:
    w.files.delete(f"{root}/MLmodel")
except InvalidState:
    seen["finalized"] = "InvalidState"
print(json.dumps(seen))
""".replace("NAME", NAME)


def peak_memory_bytes(pid: int) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def test_a_model_of_100_files_and_200_mb_comes_back_whole_and_memory_stays_flat(server: Any, tmp_path: Path) -> None:
    before = peak_memory_bytes(server.process.pid)
    script = FOLDER + REGISTER_LARGE
    outcome = clients.run_client(sys.executable, script, server.environ(), arguments=[str(tmp_path)])
    assert outcome.json() == ["READY", True, 100]
    grown = peak_memory_bytes(server.process.pid) - before
    print(f"peak memory grew by {grown / 1024**2:.0f} MiB")
    assert grown < 64 * 1024**2


def test_mlflow_killed_in_the_middle_of_a_registration_never_yields_a_ready_version(
    server: Any, tmp_path: Path
) -> None:
    (tmp_path / "first").mkdir()
    arguments = [str(tmp_path / "first")]
    killed = clients.run_client(sys.executable, FOLDER + DIE_IN_THE_MIDDLE, server.environ(), arguments=arguments)
    assert killed.returncode == -9, killed.stderr
    assert server.published() == []

    (tmp_path / "second").mkdir()
    arguments = [str(tmp_path / "second")]
    outcome = clients.run_client(sys.executable, FOLDER + REGISTER_AGAIN, server.environ(), arguments=arguments)
    first, number, versions = outcome.json()
    assert "PENDING_REGISTRATION" in first
    assert number == "2"
    assert versions == {"2": "READY", "1": "PENDING_REGISTRATION"}
    assert server.published() == ["main/default/large/2/MLmodel"]


def test_the_sdks_files_api_uploads_lists_and_downloads(server: Any, tmp_path: Path) -> None:
    outcome = clients.run_client(sys.executable, FOLDER + SDK_FILES, server.environ(), arguments=[str(tmp_path)])
    seen = outcome.json()
    assert seen["top"] == [["MLmodel", False, seen["top"][0][2]], ["artifacts", True, None]]
    assert seen["same"] and seen["length"]
    absent = ("absent file", "absent folder", "folder that is a file", "elsewhere")
    assert {seen[case] for case in absent} == {"NotFound"}
    assert seen["finalized"] == "InvalidState"
