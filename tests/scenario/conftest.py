"""One real house for the whole session, with every model registered once. Tests use endpoints of their own names."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from tests.scenario import train_names
from tests.scenario.house import ROOT, TOKEN, House, clean_environment

FAST = {
    "HEADGATE_WORKERS": "2",
    "HEADGATE_SCALING_IDLE_S": "1.5",
    "HEADGATE_SCALING_DOWN_WINDOW_S": "2",
    "HEADGATE_REPLICAS_START_ATTEMPTS": "2",
    "HEADGATE_REPLICAS_RESTART_BACKOFF_S": "0.2",
}


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("house") / "data", **FAST) as made:
        register(made, *train_names.ALL)
        yield made


def register(house: House, *names: str) -> None:
    """Trains and registers models of train.py, in a process of their own (MLflow's imports are not ours to test)."""
    folder = house.data_dir.parent / "training"
    folder.mkdir(exist_ok=True)
    environment = clean_environment(
        DATABRICKS_HOST=house.url,
        DATABRICKS_TOKEN=TOKEN,
        MLFLOW_REGISTRY_URI="databricks-uc",
        MLFLOW_DISABLE_TELEMETRY="true",
    )
    command = [sys.executable, str(ROOT / "tests" / "scenario" / "train.py"), str(folder), *names]
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
