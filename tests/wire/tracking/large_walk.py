"""Run by the tests inside a client's environment: one large artifact there and back. Prints one line of JSON."""

import json
import sys
from pathlib import Path

import mlflow

SIZE = 500 * 1024**2
folder = Path(sys.argv[1])
large = folder / "large.bin"
with large.open("wb") as file:  # sparse: takes no room here
    file.truncate(SIZE)
    file.seek(0)
    file.write(b"begin")
    file.seek(SIZE - 3)
    file.write(b"end")
experiment = mlflow.set_experiment("large")
with mlflow.start_run() as run:
    mlflow.log_artifact(str(large))
large.unlink()
found = Path(
    mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="large.bin", dst_path=str(folder))
)
with found.open("rb") as file:
    begin = file.read(5)
    file.seek(SIZE - 3)
    same = (begin, file.read()) == (b"begin", b"end")
seen = {"size": found.stat().st_size, "same": same, "run": run.info.run_id, "experiment": experiment.experiment_id}
found.unlink()
print(json.dumps(seen))
