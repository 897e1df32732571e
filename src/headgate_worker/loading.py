"""Brings a model to life with `mlflow.pyfunc`, and says in words what went wrong when it does not load. Called by `worker`."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import sysconfig
import time
import traceback
from typing import Any, Iterable, Iterator, List, NamedTuple, Optional, Tuple

from headgate_worker import tracing
from headgate_worker.specification import WorkerSpec
from headgate_worker.status import StatusFile

_EXAMPLE_LIMIT_BYTES = 256 * 1024
_FRAMES_SHOWN = 4
_NOT_CHEAP = ("messages", "prompt", "input", "stream")
_MODEL_CONFIG = "SERVING_MODEL_CONFIG"


class LoadFailed(Exception):
    """The model cannot serve. The message says why and what to do."""


class Loaded(NamedTuple):
    """A model and a request to warm it with."""

    model: Any
    """`mlflow.pyfunc.PyFuncModel`."""
    example: Optional[bytes]
    """A JSON body as a client would send it; None when there is none that is cheap."""


def load(spec: WorkerSpec, status: StatusFile) -> Loaded:
    """Imports MLflow, loads the model. Raises LoadFailed."""
    began = time.perf_counter()
    try:
        import mlflow.pyfunc as pyfunc
    except BaseException as error:
        raise LoadFailed(explain(error, "MLflow could not be imported in the model's environment")) from error
    tracing.settle()
    imported = time.perf_counter()
    status.took("import", (imported - began) * 1000.0)
    status.tell(phase="load")
    try:
        config = os.environ.get(_MODEL_CONFIG)
        arguments = {"model_config": json.loads(config)} if config else {}
        # The warnings compare every installed package with the requirements, from which this environment was built.
        with _quick_reading():
            model = pyfunc.load_model(spec.model_path, suppress_warnings=True, **arguments)
        example = _example(spec.model_path, model)
    except BaseException as error:
        raise LoadFailed(explain(error, f"model {_title(spec)} could not be loaded")) from error
    status.took("load", (time.perf_counter() - imported) * 1000.0)
    return Loaded(model, example)


@contextlib.contextmanager
def _quick_reading() -> Iterator[None]:
    """MLflow reads the MLmodel file several times while it loads a model, with PyYAML's own parser, which takes longer than many a
    model. Within this, libyaml does it where the environment has it. No code of the user's sees that."""
    import yaml
    from mlflow.models import Model

    usual, load = yaml.SafeLoader, vars(Model)["load"]

    def load_quickly(cls: Any, *arguments: Any, **named: Any) -> Any:
        yaml.SafeLoader = getattr(yaml, "CSafeLoader", usual)  # type: ignore[misc]
        try:
            return load.__func__(cls, *arguments, **named)
        finally:
            yaml.SafeLoader = usual  # type: ignore[misc]

    Model.load = classmethod(load_quickly)
    try:
        yield
    finally:
        Model.load = load


def explain(error: BaseException, what: str) -> str:
    """What failed, why, what to do, and where in the user's code."""
    missing = _missing_module(error)
    if missing:
        advice = (
            f"Python module {missing!r} is not in its environment. Add the package that provides it to the model's pip "
            "requirements (or, if it is your own code, to code_paths) and register a new version."
        )
        lines = [f"{what}: {advice}"]
    else:
        lines = [f"{what}: {_one_line(error)}"]
    root = _root_cause(error)
    if root is not error and not missing:
        lines.append(f"caused by {_one_line(root)}")
    lines += _frames(root)
    return "\n".join(lines)


def environment_modules(user_code_dirs: Iterable[str] = ()) -> List[str]:
    """Imported modules that lie in the environment's site-packages, in the order they were imported."""
    folders = tuple({os.path.join(sysconfig.get_path(kind), "") for kind in ("purelib", "platlib")})
    foreign = tuple(os.path.join(folder, "") for folder in user_code_dirs)
    found = []
    for name, module in list(sys.modules.items()):
        specification = getattr(module, "__spec__", None)
        origin = getattr(specification, "origin", None)
        if getattr(specification, "name", None) != name or not isinstance(origin, str):
            continue  # an alias or made by hand: not importable by that name
        if origin.startswith(folders) and not (foreign and origin.startswith(foreign)):
            found.append(name)
    return found


def _example(model_path: str, model: Any) -> Optional[bytes]:
    """The model's input example as a request, unless it is large or asks a chat model, which may cost money."""
    told = getattr(model.metadata, "saved_input_example_info", None) or {}
    payload = _read_json(model_path, told.get("serving_input_path"))
    if payload is None:
        content = _read_json(model_path, told.get("artifact_path"))
        kind = told.get("type")
        if kind == "dataframe" and told.get("pandas_orient", "split") == "split" and isinstance(content, dict):
            payload = {"dataframe_split": {key: content[key] for key in ("columns", "data") if key in content}}
        elif kind == "ndarray" and isinstance(content, dict) and "inputs" in content:
            payload = {"inputs": content["inputs"]}
    if not isinstance(payload, dict) or any(key in payload for key in _NOT_CHEAP):
        return None
    return json.dumps(payload).encode()


def _read_json(folder: str, name: Optional[str]) -> Any:
    path = os.path.join(folder, name) if name else ""
    try:
        if not path or os.path.getsize(path) > _EXAMPLE_LIMIT_BYTES:
            return None
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def _title(spec: WorkerSpec) -> str:
    return f"{spec.model_name} version {spec.model_version}" if spec.model_name else os.path.basename(spec.model_path)


def _chain(error: BaseException) -> List[BaseException]:
    chain = [error]
    while len(chain) < 20:
        last = chain[-1]
        cause = last.__cause__ or (None if last.__suppress_context__ else last.__context__)
        if cause is None or cause in chain:
            break
        chain.append(cause)
    return chain


def _root_cause(error: BaseException) -> BaseException:
    return _chain(error)[-1]


def _missing_module(error: BaseException) -> str:
    for each in _chain(error):
        if isinstance(each, ModuleNotFoundError) and each.name:
            return each.name
    return ""


def _one_line(error: BaseException) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _frames(error: BaseException) -> List[str]:
    """The last frames outside libraries; the very last ones when there is none."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(_library_folders())]
    shown = [frame for frame in own if not frame.filename.startswith("<")] or list(frames)
    return [
        f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}'
        + (f"\n    {frame.line}" if frame.line else "")
        for frame in shown[-_FRAMES_SHOWN:]
    ]


def _library_folders() -> Tuple[str, ...]:
    kinds = ("stdlib", "platstdlib", "purelib", "platlib")
    guest = os.path.dirname(os.path.abspath(__file__))
    return (*(os.path.join(sysconfig.get_path(kind), "") for kind in kinds), os.path.join(guest, ""), "<frozen ")
