"""A model small enough to be uploaded file by file without MLflow: it answers 1.0 for every row."""

from __future__ import annotations

import importlib.metadata
import platform

FILES = {
    "MLmodel": f"""
artifact_path: model
flavors:
  python_function:
    code: code
    env: {{virtualenv: python_env.yaml}}
    loader_module: tiny
    python_version: {platform.python_version()}
mlflow_version: {importlib.metadata.version("mlflow")}
signature:
  inputs: '[{{"type": "double", "name": "a", "required": true}}]'
  outputs: '[{{"type": "double", "required": true}}]'
  params: null
""",
    "python_env.yaml": f"python: {platform.python_version()}\ndependencies: [-r requirements.txt]\n",
    "requirements.txt": "".join(
        f"{name}=={importlib.metadata.version(name)}\n" for name in ("mlflow", "numpy", "pandas")
    ),
    "code/tiny.py": """
class Model:
    def predict(self, frame):
        return [1.0] * len(frame)


def _load_pyfunc(path):
    return Model()
""",
}
