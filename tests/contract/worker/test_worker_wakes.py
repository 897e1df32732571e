"""What a worker says of its start, and what it leaves out to be ready sooner."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.contract.worker.conftest import GUEST, Worker, until

Start = Callable[..., Worker]
ROW = {"dataframe_split": {"columns": ["a", "b"], "data": [[1.0, 1.0]]}}


def test_phases_that_were_over_before_it_began_are_told_with_its_own(start: Start) -> None:
    worker = start("sklearn_with_example", phases_ms={"environment": 0.0, "import": 100_000.0})
    worker.in_state("READY")
    phases = worker.client().hello["phases_ms"]
    assert list(phases) == ["environment", "import", "fork", "load", "first_predict", "prove"]
    assert phases["environment"] == 0.0
    assert phases["import"] >= 100_000.0
    assert phases["fork"] > 0 and phases["load"] > 0


@pytest.mark.parametrize("model", ["sklearn", "sklearn_with_example"])
def test_modules_that_nobody_wants_to_know_are_not_told(start: Start, model: str) -> None:
    worker = start(model, wants_modules=False)
    worker.in_state("READY")
    client = worker.client()
    assert client.call(ROW).status == 200
    until(lambda: client.health()["served"] == 1, "it knows that it has answered")
    assert worker.status()["modules"] == []


def test_mlflow_reads_model_files_its_usual_way_again_once_a_model_is_loaded(models: Path) -> None:
    script = f"""
import sys; sys.path.insert(0, {GUEST!r})
import yaml
from mlflow.models import Model
from headgate_worker import loading
usual, load, used = yaml.SafeLoader, vars(Model)["load"], []
def watched(cls, path):
    used.append(yaml.SafeLoader.__name__)
    return load.__func__(cls, path)
Model.load = watching = classmethod(watched)
with loading._quick_reading():
    found = Model.load({str(models / "sklearn" / "MLmodel")!r})
assert found.flavors["python_function"]["loader_module"] == "mlflow.sklearn"
assert yaml.SafeLoader is usual and vars(Model)["load"] is watching
print(used[0])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["CSafeLoader"]
