"""A house whose model files lie in an object storage: deployed from there, restarted without its copies, serving while it is away."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.records import read
from tests.fakes.s3_server import S3Server, s3_server
from tests.scenario.conftest import FAST, register
from tests.scenario.house import TOKEN, House, clean_environment, content, entity, files, until
from tests.scenario.load import SteadyLoad

from headgate.settings import Settings, StorageSettings
from headgate.warehouse.tables import places

pytestmark = pytest.mark.scenario
BODY = {"dataframe_split": {"columns": ["a", "b", "c"], "data": [[1.0, 0.0, 0.0]]}}


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


@pytest.fixture(scope="module")
def storage(server: S3Server) -> StorageSettings:
    return server.settings("team/headgate")


@pytest.fixture(scope="module")
def remote(storage: StorageSettings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    settings = {
        "HEADGATE_STORAGE_URL": storage.url,
        "HEADGATE_STORAGE_ENDPOINT_URL": storage.endpoint_url,
        "HEADGATE_STORAGE_REGION": storage.region,
        "HEADGATE_STORAGE_ACCESS_KEY_ID": storage.access_key_id,
        "HEADGATE_STORAGE_SECRET_ACCESS_KEY": "hush-hush-storage",
        "HEADGATE_STORAGE_ALLOW_HTTP": "true",
        "HEADGATE_ENVIRONMENTS_MODE": "local",
    }
    with House(tmp_path_factory.mktemp("remote") / "data", **FAST | settings) as made:
        register(made, "versioned")
        made.create("remote", entity("versioned"))
        yield made


def test_a_model_is_served_from_there_and_nothing_of_it_is_kept_but_a_copy(remote: House) -> None:
    assert remote.predict("remote", BODY).json == {"predictions": ["one"]}
    assert not (remote.data_dir / "models").exists()
    assert len(list((remote.data_dir / "copies" / "models").rglob("MLmodel"))) == 1


def test_its_requests_are_in_tables_there(remote: House, storage: StorageSettings) -> None:
    table = {"enabled": True, "catalog_name": "main", "schema_name": "default"}
    answer = remote.request("PUT", "/api/2.0/serving-endpoints/remote/ai-gateway", {"inference_table_config": table})
    assert answer.status == 200, answer
    where = places.open_places(dataclasses.replace(Settings(), storage=storage))
    name = places.named("main", "default", "remote_payload")

    def kept() -> list[dict[str, object]]:
        remote.predict("remote", BODY)  # until all servers know that they are to be kept
        return read(where, name)

    rows = until(kept, "requests are in the table", pause_s=0.5)
    assert json.loads(rows[0]["response"]) == {"predictions": ["one"]}
    assert not (remote.data_dir / "tables").exists()


def test_a_restarted_house_without_copies_fetches_again_what_it_serves(remote: House) -> None:
    assert remote.stop() == 0
    shutil.rmtree(remote.data_dir / "copies")
    remote.start()
    assert remote.predict("remote", BODY, timeout_s=120).json == {"predictions": ["one"]}


def test_requests_go_on_and_replicas_are_replaced_while_the_storage_is_away(remote: House, server: S3Server) -> None:
    until(lambda: remote.replica_pids(), "a replica lives")
    with SteadyLoad(remote.port, "remote", BODY, connections=2) as load, server.away():
        load.more(200)
        [control] = remote.pids("control")
        remote.kill(control)
        until(lambda: remote.pids("control"), "control is back")
        load.more(200)
    assert load.failures == [] and load.cut == 0 and load.refused == 0, load
    with server.away():
        remote.kill(remote.replica_pids()[0])
        assert remote.predict("remote", BODY, timeout_s=120).json == {"predictions": ["one"]}


def test_what_cannot_be_fetched_fails_with_a_reason_and_is_deployed_once_the_storage_is_back(
    remote: House, server: S3Server
) -> None:
    remote.api("PUT", "/remote/config", {"served_entities": [entity("versioned", "2")]})
    updated = remote.settled("remote", "NOT_UPDATING", "UPDATE_FAILED")
    assert updated["state"]["config_update"] == "NOT_UPDATING", updated
    assert remote.predict("remote", BODY).json == {"predictions": ["two"]}
    remote.api("POST", "/remote/config:stop")
    shutil.rmtree(remote.data_dir / "copies" / "models")
    with server.away():
        remote.api("POST", "/remote/config:start")
        failed = remote.settled("remote", "UPDATE_FAILED", timeout_s=290)
        assert "the model's files could not be fetched" in str(failed["pending_config"]), failed
    remote.api("PUT", "/remote/config", {"served_entities": [entity("versioned", "2")]})
    assert remote.settled("remote")["state"]["ready"] == "READY"
    assert remote.predict("remote", BODY).json == {"predictions": ["two"]}


ARTIFACTS = """
import json, pathlib, mlflow
mlflow.set_experiment("/remote")
pathlib.Path("large.bin").write_bytes(bytes(range(256)) * 4096 * 20)
with mlflow.start_run() as run:
    mlflow.log_text("hello", "notes/a.txt")
    mlflow.log_artifact("large.bin")
client = mlflow.MlflowClient()
listed = [item.path for item in client.list_artifacts(run.info.run_id)]
back = pathlib.Path(client.download_artifacts(run.info.run_id, "", "."))
assert (back / "large.bin").read_bytes() == pathlib.Path("large.bin").read_bytes()
print(json.dumps({"listed": listed, "text": (back / "notes" / "a.txt").read_text()}))
"""


def test_artifacts_of_runs_lie_there_as_well(remote: House, tmp_path: Path) -> None:
    environment = clean_environment(
        DATABRICKS_HOST=remote.url,
        DATABRICKS_TOKEN=TOKEN,
        MLFLOW_TRACKING_URI="databricks",
        MLFLOW_DISABLE_TELEMETRY="true",
    )
    command = [sys.executable, "-c", ARTIFACTS]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-4000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {"listed": ["large.bin", "notes"], "text": "hello"}
    assert not (remote.data_dir / "artifacts").exists()


def test_the_storages_secret_is_written_nowhere(remote: House) -> None:
    for file in files(remote.data_dir.parent):
        assert file.is_symlink() or b"hush-hush-storage" not in content(file), file
