"""What to import ahead: once when an environment was built, to see that it works, and in a zygote before it has
learned from its first replica. Pure but for `flavors_of`, which reads an MLmodel file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from headgate.domain import model_files
from headgate.replicas.building import compiler

IMPORT_ALL = """
import importlib, importlib.util, sys
from importlib import metadata
import mlflow.pyfunc

def attempt(name):
    try:
        return importlib.import_module(name)
    except BaseException as error:
        print(f"note: import {name}: {type(error).__name__}: {error}")

def packages(name):
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return []
    listed = (distribution.read_text("top_level.txt") or "").split()
    return listed or sorted({file.parts[0] for file in distribution.files or () if file.name == "__init__.py" and len(file.parts) == 2})

for requirement in sys.argv[1:]:
    for top in packages(requirement)[:4]:
        if top.isidentifier():
            attempt(top)
        flavor = {"torch": "pytorch"}.get(top, top)
        if importlib.util.find_spec(f"mlflow.{flavor}"):
            attempt(f"mlflow.{flavor}")
"""
"""Program run by an environment's Python with the names of its direct requirements: proves that MLflow can be imported, notes what cannot."""

_LIBRARIES = {
    "pytorch": "torch",
    "onnx": "onnxruntime",
    "langchain": "langchain_core",
    "paddle": "paddle",
}
"""MLflow flavors whose library has another name."""
_MODULES_LIMIT = 5000


def zygote_modules(flavors: Iterable[str]) -> list[str]:
    """Modules a zygote imports until a replica has reported better: MLflow, the flavors' loaders and their libraries."""
    found = ["mlflow.pyfunc"]
    for name in flavors:
        if name.startswith("mlflow."):
            found.append(name)
        elif "." not in name:  # a loader module that is not MLflow's is the user's own code
            found += [f"mlflow.{name}", _LIBRARIES.get(name, name)]
    return list(dict.fromkeys(found))


def first_modules(folder: Path, requirements: Iterable[str]) -> list[str]:
    """The same for a new environment in `folder`, whose model is not known: MLflow and the flavors its requirements are for."""
    sources = next((folder / "venv/lib").glob("python*/site-packages"), folder)
    found = ["mlflow.pyfunc"]
    for top in compiler.packages(str(sources), requirements):
        flavor = compiler.FLAVORS.get(top, top)
        if any((sources / "mlflow" / name).exists() for name in (f"{flavor}.py", f"{flavor}/__init__.py")):
            found += [f"mlflow.{flavor}", top]
    return list(dict.fromkeys(found))


def flavors_of(model_path: str) -> tuple[str, ...]:
    """Flavors and loader module of the model in a folder; empty when its MLmodel cannot be read."""
    try:
        return model_files.loader_modules((Path(model_path) / "MLmodel").read_text())
    except (OSError, UnicodeDecodeError):
        return ()


def read_modules(path: Path) -> list[str]:
    """Modules recorded by `write_modules`; empty when there are none."""
    try:
        modules = json.loads(path.read_text())
    except (OSError, ValueError):
        return []
    return [name for name in modules if isinstance(name, str)] if isinstance(modules, list) else []


def write_modules(path: Path, modules: Iterable[str]) -> None:
    """Records what a replica had imported after its first prediction, atomically."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(list(modules)[:_MODULES_LIMIT]))
    temporary.replace(path)
