"""MLflow's own server below a real house: nobody misses it until it is needed, or after it was killed, and nothing stays behind."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.s3_server import s3_server
from tests.scenario.house import House, alive, until

from headgate import settings

pytestmark = pytest.mark.scenario
API = "/api/2.0/mlflow"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("tracking") / "data") as made:
        yield made


def ask(house: House, method: str, path: str, body: Any = None) -> Any:
    answer = house.request(method, API + path, body)
    assert answer.status == 200, answer
    return answer.json


def child(house: House) -> int:
    (pid,) = house.pids("tracking")
    return pid


def kill(house: House, pid: int) -> None:
    """kill -9 and wait until its last thread has let go of its connections."""
    house.kill(pid)
    path = settings.load({"data_dir": house.data_dir}, environ={}).sockets / "tracking.sock"

    def refused() -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(path)) != 0

    until(refused, "nobody listens any more")


def test_after_a_kill_the_next_request_works_and_nothing_is_lost(house: House) -> None:
    made = ask(house, "POST", "/experiments/create", {"name": "before the kill"})["experiment_id"]
    first = child(house)
    kill(house, first)
    assert (
        ask(house, "POST", "/runs/create", {"experiment_id": made, "start_time": 1})["run"]["info"]["experiment_id"]
        == made
    )
    assert child(house) != first


def test_it_outlives_the_server_process_that_started_it(house: House) -> None:
    ask(house, "GET", "/experiments/get?experiment_id=0")
    living = child(house)
    (server,) = house.pids("server")
    house.kill(server)
    until(lambda: house.healthy() and house.pids("server"), "another server process is there")
    ask(house, "GET", "/experiments/get?experiment_id=0")
    assert child(house) == living


def test_a_house_that_died_and_came_back_has_everything(house: House) -> None:
    made = ask(house, "POST", "/experiments/create", {"name": "kept"})["experiment_id"]
    path = f"/api/2.0/mlflow-artifacts/artifacts/{made}/run/artifacts/note.txt"
    assert house.request("PUT", path, b"kept as well").status == 200
    house.kill_everything()
    house.start()
    assert ask(house, "GET", "/experiments/get-by-name?experiment_name=kept")["experiment"]["experiment_id"] == made
    assert house.request("GET", path).body == b"kept as well"


def test_when_the_house_ends_it_ends_too(tmp_path: Path) -> None:
    with House(tmp_path / "data", HEADGATE_TRACKING_START="always") as house:
        (pid,) = until(lambda: house.pids("tracking"), "it starts by itself")
    until(lambda: not alive(pid), "it ended with the house")


def test_switched_off_it_says_so(tmp_path: Path) -> None:
    with House(tmp_path / "data", HEADGATE_TRACKING_START="off") as house:
        answer = house.request("GET", f"{API}/experiments/get?experiment_id=0")
        assert (answer.status, answer.json["error_code"]) == (501, "NOT_IMPLEMENTED")
        assert "tracking.start" in answer.json["message"] and house.pids("tracking") == []


def test_artifacts_lie_in_the_bucket_if_there_is_one(tmp_path: Path) -> None:
    with s3_server() as server:
        storage = server.settings("team/headgate")
        settings = {
            "HEADGATE_STORAGE_URL": storage.url,
            "HEADGATE_STORAGE_ENDPOINT_URL": storage.endpoint_url,
            "HEADGATE_STORAGE_REGION": storage.region,
            "HEADGATE_STORAGE_ACCESS_KEY_ID": storage.access_key_id,
            "HEADGATE_STORAGE_SECRET_ACCESS_KEY": storage.secret_access_key,
            "HEADGATE_STORAGE_ALLOW_HTTP": "true",
        }
        with House(tmp_path / "data", **settings) as house:
            assert house.pids("tracking") == [], "it starts with the first request and not before"
            made = ask(house, "POST", "/experiments/create", {"name": "remote"})["experiment_id"]
            run = ask(house, "POST", "/runs/create", {"experiment_id": made, "start_time": 1})["run"]["info"]["run_id"]
            path = f"/api/2.0/fs/files/WorkspaceInternal/Mlflow/Artifacts/{made}/Runs/{run}/artifacts/a/note.txt"
            assert house.request("PUT", path, b"in the bucket").status == 204
            part = house.request("GET", path, Range="bytes=7-")
            assert (part.status, part.body) == (206, b"bucket")
            # MLflow's own server reads it as well, for its pages.
            listed = ask(house, "GET", f"/artifacts/list?run_id={run}&path=a")
            assert [file["path"] for file in listed["files"]] == ["a/note.txt"]
            assert house.request("GET", f"/mlflow/get-artifact?run_uuid={run}&path=a/note.txt").body == b"in the bucket"
            assert not (house.data_dir / "artifacts").exists()
