"""The guest runs on the standard library alone, in every interpreter it promises."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fakes.pythons import other_python

import headgate_worker

PACKAGE = Path(headgate_worker.__file__).parent
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")
BROUGHT_BY_THE_MODEL = {"mlflow", "numpy", "orjson", "pandas", "sklearn", "yaml"}
"""Imported inside functions only, from the model's own environment."""


@pytest.mark.parametrize("version", ["3.9", "3.13"])
def test_every_module_imports_without_any_package(version: str) -> None:
    python = other_python(version)
    names = ", ".join(f"headgate_worker.{name}" for name in MODULES)
    program = f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r}); sys.dont_write_bytecode = True; import {names}"
    done = subprocess.run(
        [python, "-I", "-S", "-W", "error", "-c", program], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_the_standard_library_and_its_own_package_only(module: str) -> None:
    tree = ast.parse((PACKAGE / f"{module}.py").read_text())
    at_top = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        for name in (name.partition(".")[0] for name in names):
            allowed = name in sys.stdlib_module_names or name == "headgate_worker"
            assert allowed or (name in BROUGHT_BY_THE_MODEL and id(node) not in at_top), f"{module} imports {name}"
