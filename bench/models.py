"""The models every server serves: trained once, each with the bodies that ask it and the answer. Called by the bench scripts."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.environments import GUESTS, cache_folder, environment, installed_versions

MODELS = ("light", "heavy", "wide")


@dataclass(frozen=True, slots=True)
class Work:
    """A trained model: its MLflow folder, the bodies that ask for one row, and the prediction."""

    name: str
    folder: Path
    split: bytes
    v2: bytes
    answer: list[float]

    @classmethod
    def read(cls, folder: Path, name: str) -> Work:
        asked = json.loads((folder / f"{name}.json").read_text())
        split, v2 = (json.dumps(asked[key]).encode() for key in ("split", "v2"))
        return cls(name, folder / name, split, v2, asked["answer"])


def trained() -> Path:
    """Folder of the models, trained once per set of versions."""
    folder, script = cache_folder() / "models", GUESTS / "train.py"
    mark = folder / "trained-with"
    versions = installed_versions("fastapi", "mlflow", "scikit-learn", "pandas", "numpy")
    wanted = f"{versions}\n{script.read_text()}"
    if not mark.is_file() or mark.read_text() != wanted:
        print("● train the models", flush=True)
        command = [str(environment("fastapi") / "bin" / "python"), "-W", "ignore", str(script), str(folder)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        mark.write_text(wanted)
    return folder
