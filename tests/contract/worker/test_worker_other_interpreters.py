"""The same guest in the oldest and the newest environment it promises to run in, built here with uv."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.contract.worker.conftest import Worker, ZygoteClient, run_worker, train, worker_spec
from tests.contract.worker.test_worker_parity import differences, score_both_ways
from tests.fakes.pythons import other_python
from uv import find_uv_bin

pytestmark = pytest.mark.wire
ROW = {"dataframe_split": {"columns": ["a", "b"], "data": [[1.0, 1.0]]}}
NEWER_TEXT = {"echo: other type (text/plain)"}
"""MLflow 3 lists Parquet among the content types; this guest accepts it everywhere and says so."""


@pytest.fixture(scope="session", params=[("3.9", "mlflow==2.22.*"), ("3.13", "mlflow")], ids=["oldest", "newest"])
def python(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The interpreter of that environment."""
    minor, mlflow = request.param
    folder = tmp_path_factory.mktemp(f"python-{minor}") / "venv"
    commands = (
        ["venv", "--quiet", "--python", other_python(minor), str(folder)],
        ["pip", "install", "--quiet", "--python", str(folder), mlflow, "scikit-learn"],
    )
    for command in commands:
        done = subprocess.run([find_uv_bin(), *command], capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr
    return str(folder / "bin" / "python")


@pytest.fixture(scope="session")
def their_models(python: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(python, tmp_path_factory.mktemp("models") / "models")


def test_a_fresh_worker_serves_there(python: str, their_models: Path, short_folder: Path) -> None:
    worker = run_worker(short_folder, worker_spec(short_folder, their_models / "sklearn_with_example"), python)
    try:
        assert worker.in_state("READY")["modules"]
        assert worker.client().call(ROW).json == {"predictions": [pytest.approx(5.0)]}
    finally:
        worker.end()


def test_a_zygote_forks_streaming_workers_there(
    python: str, their_models: Path, short_folder: Path, tmp_path: Path
) -> None:
    zygote = ZygoteClient(tmp_path, python, base_modules=["mlflow.pyfunc"])
    spec = worker_spec(short_folder, their_models / "streams")
    told = zygote.fork(spec)
    assert told["op"] == "forked", told
    worker = Worker(short_folder, spec, told["pid"], lambda: zygote.exit_status(told["pid"]))
    try:
        worker.in_state("READY")
        client = worker.client()
        chunks = client.stream(client.ask({"prompt": "hello", "stream": True}))
        assert (len(chunks), chunks[-1]) == (4, b"data: [DONE]\n\n")
    finally:
        worker.end()
        zygote.close()


def test_its_answers_are_those_of_that_mlflow(python: str, their_models: Path, tmp_path: Path) -> None:
    table = [
        row for row in score_both_ways(python, their_models, tmp_path / "out.json") if row["case"] not in NEWER_TEXT
    ]
    assert not differences(table)
    assert {row["case"].partition(":")[0] for row in table if row["case"].endswith(", fast")} >= {"sklearn", "numbers"}
