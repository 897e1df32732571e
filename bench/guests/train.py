"""Trains the models every server serves. Run by `bench.models` in a peer's environment: `python bench/guests/train.py FOLDER`.

Writes per model FOLDER/<name>/ (an MLflow model with signature and input example) and FOLDER/<name>.json (its request bodies and the
answer to them). Imports nothing of the project.
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow.sklearn
import numpy
import pandas
from mlflow.models import infer_signature
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression

ROWS = 2000


def main(folder: Path) -> None:
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    folder.mkdir(parents=True, exist_ok=True)
    rng = numpy.random.default_rng(0)
    make(folder / "light", 4, LogisticRegression(), rng)
    make(folder / "heavy", 20, RandomForestClassifier(n_estimators=30, random_state=0, n_jobs=1), rng)
    make(folder / "wide", 1000, LinearRegression(), rng)


def make(folder: Path, columns: int, model: Any, rng: numpy.random.Generator) -> None:
    """Fits the model on noise with a linear rule in it and saves it with what is needed to ask it."""
    frame = pandas.DataFrame(rng.normal(size=(ROWS, columns)), columns=[f"f{i}" for i in range(columns)])
    target = (frame.sum(axis=1) + rng.normal(size=ROWS) > 0).astype("int64")
    model.fit(frame, target)
    shutil.rmtree(folder, ignore_errors=True)
    mlflow.sklearn.save_model(
        model,
        folder,
        serialization_format="cloudpickle",
        signature=infer_signature(frame, model.predict(frame)),
        input_example=frame.iloc[:1],
        pip_requirements=[f"{name}=={version(name)}" for name in ("mlflow", "scikit-learn", "pandas", "numpy")],
    )
    row = frame.iloc[0].round(4)
    asked = {
        "split": {"dataframe_split": {"columns": list(frame.columns), "data": [row.tolist()]}},
        "v2": {
            "parameters": {"content_type": "pd"},
            "inputs": [{"name": c, "shape": [1, 1], "datatype": "FP64", "data": [v]} for c, v in row.items()],
        },
        "answer": model.predict(pandas.DataFrame([row])).tolist(),
    }
    folder.with_suffix(".json").write_text(json.dumps(asked))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
