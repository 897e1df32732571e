"""Reads what an MLflow model folder says about itself: its environment, flavors, signature. Called by the registry and control.

Pure: files come through a callable (`read(name) -> text or None`). It never looks at a disk and never imports MLflow.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import yaml

from headgate.domain.environment import EnvironmentSpec, ModelDescription
from headgate.errors import InvalidParameterValue

Read = Callable[[str], "str | None"]
"""Text of a file of the model folder, by its path relative to that folder; None when there is none."""

_IO_BOUND_LOADERS = ("chat_model", "chat_agent", "responses_agent")
_IO_BOUND_FLAVORS = frozenset(
    {"langchain", "langgraph", "openai", "anthropic", "llama_index", "dspy", "autogen", "crewai", "pydantic_ai",
     "haystack", "smolagents", "semantic_kernel", "agno", "strands"}
)  # fmt: skip
_COMPUTE_FLAVORS = frozenset({"transformers", "sentence_transformers", "pytorch", "tensorflow", "keras"})
_NAME = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[[^\]]*\])?\s*(.*)$")
_INCLUDE = re.compile(r"^(?:-r|--requirement|-c|--constraint)(?:[ =]\s*|(?=\S))(.+)$")
_DEPTH = 8


def describe(full_name: str, version: str, path: str, read: Read) -> ModelDescription:
    """The model in folder `path`. Raises InvalidParameterValue when its files are missing or malformed."""
    text = read("MLmodel")
    if text is None:
        raise InvalidParameterValue(
            f"Model {full_name} version {version} has no MLmodel file, so it is not an MLflow model; log it with MLflow."
        )
    model = _mapping(text, "MLmodel", yaml.SafeLoader)
    flavors = model.get("flavors")
    if not isinstance(flavors, Mapping) or "python_function" not in flavors:
        raise InvalidParameterValue(
            f"Model {full_name} version {version} has no python_function flavor, so it cannot be served; "
            "log it with an MLflow flavor that has one."
        )
    signature = model.get("signature")
    metadata = model.get("metadata")
    task = str(metadata.get("task") or "") if isinstance(metadata, Mapping) else ""
    return ModelDescription(
        full_name=full_name,
        version=version,
        path=path,
        environment=_environment(flavors["python_function"], path, read),
        flavors=tuple(sorted(str(name) for name in flavors)),
        signature=json.dumps(signature, default=str) if isinstance(signature, Mapping) else "",
        task=task,
        io_bound=is_io_bound(flavors, task),
    )


def is_io_bound(flavors: Mapping[str, Any], task: str) -> bool:
    """Whether the model mostly waits for others: chat models and agents, LLM client flavors, LLM tasks, streaming pyfuncs.

    A flavor that computes in this very process (transformers, pytorch …) is never I/O-bound, whatever its task says.
    """
    if _COMPUTE_FLAVORS & set(flavors):
        return False
    function = flavors.get("python_function")
    function = function if isinstance(function, Mapping) else {}
    return (
        bool(_IO_BOUND_FLAVORS & set(flavors))
        or str(function.get("loader_module", "")).rpartition(".")[2] in _IO_BOUND_LOADERS
        or str(function.get("streamable", "")).lower() == "true"
        or task.startswith(("llm/v1/chat", "llm/v1/completions", "agent/"))
    )


def loader_modules(text: str) -> tuple[str, ...]:
    """Flavor names and MLflow's loader module in an MLmodel text; empty for one that cannot be read. For warming."""
    try:
        flavors = _mapping(text, "MLmodel", yaml.SafeLoader).get("flavors")
    except InvalidParameterValue:
        return ()
    if not isinstance(flavors, Mapping):
        return ()
    function = flavors.get("python_function")
    loader = str(function.get("loader_module") or "") if isinstance(function, Mapping) else ""
    return tuple(sorted({*(str(name) for name in flavors), loader} - {"", "python_function"}))


def with_mlflow(requirements: tuple[str, ...]) -> tuple[str, ...]:
    """The same with `mlflow`, which every replica needs: the version of `mlflow-skinny` if that is pinned, else the latest."""
    named = {requirement_name(line): line for line in requirements}
    if "mlflow" in named:
        return requirements
    skinny = _NAME.match(named.get("mlflow-skinny", ""))
    return (*requirements, f"mlflow{skinny.group(3)}" if skinny else "mlflow")


def requirement_name(line: str) -> str:
    """Normalised project name of a requirement line; empty for options, paths and bare URLs."""
    if line.startswith("-") or is_path(line) or re.match(r"^[a-z+]+:", line):
        return ""
    match = _NAME.match(line)
    return re.sub(r"[-_.]+", "-", match.group(1)).lower() if match else ""


def _environment(function: Any, path: str, read: Read) -> EnvironmentSpec:
    named = function.get("env") if isinstance(function, Mapping) else None
    names = named if isinstance(named, Mapping) else {"conda": named} if isinstance(named, str) else {}
    python_env = str(names.get("virtualenv") or "python_env.yaml")
    conda = str(names.get("conda") or "conda.yaml")
    if (text := read(python_env)) is not None:
        python, lines = _from_python_env(_mapping(text, python_env))
    elif (text := read(conda)) is not None:
        python, lines = _from_conda(_mapping(text, conda))
    else:
        python, lines = "", ["-r requirements.txt"] if read("requirements.txt") is not None else []
    if not python and isinstance(function, Mapping):
        python = str(function.get("python_version") or "")
    requirements = with_mlflow(tuple(dict.fromkeys(_inlined(lines, read, "", 0))))
    local = any(is_path(line) and not line.startswith("/") for line in requirements)
    return EnvironmentSpec(python, requirements, model_path=path if local else "")


def _from_python_env(tree: Mapping[str, Any]) -> tuple[str, list[str]]:
    # setuptools is the one build dependency that libraries also need when they run (pkg_resources).
    build = [line for line in _strings(tree.get("build_dependencies")) if requirement_name(line) == "setuptools"]
    return str(tree.get("python") or ""), build + _strings(tree.get("dependencies"))


def _from_conda(tree: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Python and the pip part; conda's own packages are left out, as MLflow does outside conda."""
    python, lines = "", []
    for item in tree.get("dependencies") or []:
        if isinstance(item, Mapping):
            lines += _strings(item.get("pip"))
        elif match := re.match(r"^python\s*=+\s*([0-9][0-9.]*)", str(item)):
            python = match.group(1)
    return python, lines


def _inlined(lines: list[str], read: Read, folder: str, depth: int) -> Iterator[str]:
    if depth > _DEPTH:
        raise InvalidParameterValue("The model's requirements files include each other in a circle.")
    for line in _logical_lines(lines):
        include = _INCLUDE.match(line)
        if not include:
            yield f"{folder}{line}" if folder and is_path(line) and not line.startswith("/") else line
            continue
        name = folder + include.group(1).strip()
        text = read(name)
        if text is None:
            raise InvalidParameterValue(f"The model's requirements refer to {name}, which is not in the model folder.")
        parent = name.rpartition("/")[0]
        yield from _inlined(text.splitlines(), read, f"{parent}/" if parent else "", depth + 1)


def _logical_lines(lines: list[str]) -> Iterator[str]:
    """Continuation lines joined; comments and blanks removed."""
    pending = ""
    for line in lines:
        if line.rstrip().endswith("\\"):
            pending += line.rstrip()[:-1]
            continue
        text = re.sub(r"(^|\s+)#.*$", "", pending + line).strip()
        pending = ""
        if text:
            yield " ".join(text.split())
    if pending.strip():
        yield " ".join(pending.split())


def is_path(line: str) -> bool:
    """Whether a requirement line is a path (to a wheel or folder), relative ones being inside the model folder."""
    first = line.split(" ; ")[0].split("[")[0].strip()
    return not line.startswith("-") and "://" not in line and " @ " not in line and (
        first.startswith(("./", "../", "/")) or first.endswith((".whl", ".tar.gz", ".zip"))
    )  # fmt: skip


def _strings(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def _mapping(
    text: str, name: str, loader: type[yaml.BaseLoader | yaml.SafeLoader] = yaml.BaseLoader
) -> Mapping[str, Any]:
    """YAML. BaseLoader keeps every scalar as text, so that a Python version `3.10` does not become 3.1."""
    try:
        tree = yaml.load(text, Loader=loader)
    except yaml.YAMLError as error:
        raise InvalidParameterValue(f"The model's {name} is not valid YAML: {error}") from error
    if not isinstance(tree, Mapping):
        raise InvalidParameterValue(f"The model's {name} must be a mapping.")
    return tree
