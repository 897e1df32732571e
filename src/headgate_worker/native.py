"""Ways to call a library's own model instead of MLflow's wrapper around it, fastest first. Used by `proving`, which takes the first
that gives MLflow's very answers. Only for wrappers that merely forward, and models that hold no code of the user's.
"""

from __future__ import annotations

import sys
import warnings
from contextlib import contextmanager
from functools import partial
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

from headgate_worker.shortcuts import FLOAT32_MAX, LARGE_ROWS, shortcut

_LIBRARIES = frozenset({"sklearn", "xgboost", "lightgbm", "numpy", "scipy", "joblib", "builtins"})
_WRAPPERS = {"mlflow.sklearn": "sklearn_model", "mlflow.xgboost": "xgb_model", "mlflow.lightgbm": "lgb_model"}
"""MLflow's loader modules, and where their wrapper keeps the model."""
_LEAVES = ("sklearn.tree.", "xgboost.", "lightgbm.")
"""Classes below which there is no user's code to look for."""
_PARTS_LIMIT = 20_000


class Way(NamedTuple):
    """A way to predict."""

    wants_frame: bool
    """Otherwise an array."""
    predict: Callable[[Any], Any]
    library: Optional[Callable[[Any], Any]] = None
    """The very call that MLflow's wrapper makes, for frames. Given when `predict` may answer None: then it takes this one."""


def ways(model: Any) -> Iterator[Way]:
    """Of a `PyFuncModel`; none when its predictions may run the user's code."""
    native, name = _forwarded(model)
    if native is None or not _is_library_code(native):
        return
    kind, method = type(native).__name__, getattr(native, name)
    root = type(native).__module__.partition(".")[0]
    if root == "sklearn":
        fast = shortcut(native) if name == "predict" else None
        if fast is not None:
            yield Way(False, fast, method)
        yield Way(False, getattr(nameless(native), name))
    elif root == "xgboost" and kind == "Booster":
        yield Way(False, _without_infinities(partial(method.__self__.inplace_predict, validate_features=False)))
    elif root == "lightgbm" and kind != "Booster":
        # The columns are known to be in order; scikit-learn's check would say with every call that it cannot see that.
        warnings.filterwarnings("ignore", "X does not have valid feature names", UserWarning)
        fast = _lightgbm(native) if name == "predict" else None
        if fast is not None:
            yield Way(False, fast, method)
        yield Way(False, method)
    else:
        yield Way(False, method)
    yield Way(True, method)


def _forwarded(model: Any) -> Tuple[Any, str]:
    """(the library's model, the name of its method) that MLflow's wrapper forwards to; (None, "") when it is no such wrapper."""
    kept = _WRAPPERS.get(getattr(model, "loader_module", ""))
    call = getattr(model, "_predict_fn", None)
    owner = getattr(call, "__self__", None)
    if kept is None or owner is None:
        return None, ""
    native = getattr(owner, kept, owner)
    known = type(native).__module__.partition(".")[0] in ("sklearn", "xgboost", "lightgbm")
    return (native, str(getattr(call, "__name__", ""))) if known else (None, "")


@contextmanager
def in_order(model: Any) -> Iterator[bool]:
    """While the model's forests compute in one thread: in several, they add up floats in another order each time, and nothing can
    equal them to the last bit. Whether that makes a difference. Only while nothing else uses the model."""
    native, _ = _forwarded(model)
    parts = [native, *(step for _, step in getattr(native, "steps", ()))]
    changed = [
        part for part in parts if hasattr(part, "estimators_") and getattr(part, "n_jobs", None) not in (None, 1)
    ]
    jobs = [part.n_jobs for part in changed]
    for part in changed:
        part.n_jobs = 1
    try:
        yield bool(changed)
    finally:
        for part, number in zip(changed, jobs):
            part.n_jobs = number


def _without_infinities(predict: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """XGBoost refuses infinities in a DMatrix, and only there."""
    import numpy

    largest, magnitude = numpy.fmax.reduce, numpy.abs

    def careful(array: Any) -> Any:
        if not largest(magnitude(array), axis=None) <= FLOAT32_MAX:
            raise ValueError("infinite, or nothing but NaN")
        return predict(array)

    return careful


def _lightgbm(native: Any) -> Optional[Callable[[Any], Any]]:
    """LightGBM's booster without the scikit-learn interface around it; None for many rows, which may take several cores."""
    import numpy

    kind = type(native).__name__
    if kind not in ("LGBMRegressor", "LGBMRanker", "LGBMClassifier") or callable(getattr(native, "_objective", None)):
        return None
    booster = native.booster_
    classes = native.classes_ if kind == "LGBMClassifier" else None

    def predict(array: Any) -> Any:
        if len(array) >= LARGE_ROWS:
            return None
        raw = booster.predict(array, num_threads=1)
        if classes is None:
            return raw
        scores = raw if raw.ndim > 1 else numpy.vstack((1.0 - raw, raw)).transpose()
        return classes.take(scores.argmax(axis=1))

    return predict


def nameless(estimator: Any) -> Any:
    """A copy of a scikit-learn estimator that knows no column names, so that it takes arrays without a warning. Shares all arrays."""
    from sklearn.base import BaseEstimator

    def copied(value: Any) -> Any:
        if isinstance(value, BaseEstimator) and not type(value).__module__.startswith(_LEAVES):
            twin = object.__new__(type(value))
            twin.__dict__.update({key: copied(each) for key, each in vars(value).items() if key != "feature_names_in_"})
            return twin
        if isinstance(value, BaseEstimator) and "feature_names_in_" in vars(value):
            twin = object.__new__(type(value))
            twin.__dict__.update({key: each for key, each in vars(value).items() if key != "feature_names_in_"})
            return twin
        if type(value) in (list, tuple):
            return type(value)(map(copied, value))
        return value

    return copied(estimator)


def _is_library_code(model: Any) -> bool:
    """Whether the model and all it is made of are classes and functions of the libraries."""
    seen: Dict[int, Any] = {}
    waiting: List[Any] = [model]
    while waiting:
        value = waiting.pop()
        if id(value) in seen or isinstance(value, (str, bytes, int, float, type(None))):
            continue
        seen[id(value)] = value
        if len(seen) > _PARTS_LIMIT or _origin(value) not in _LIBRARIES:
            return False
        waiting += _parts(value)
    return True


def _origin(value: Any) -> str:
    """The package that a value's code comes from."""
    told = value if isinstance(value, type) or hasattr(value, "__code__") else type(value)
    return str(getattr(told, "__module__", "")).partition(".")[0]


def _parts(value: Any) -> List[Any]:
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, (list, tuple, set, frozenset)):
        return list(value)
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.ndarray):
        return list(value.ravel()) if value.dtype.kind == "O" else []
    module = type(value).__module__
    if isinstance(value, type) or module.startswith(_LEAVES) or not module.startswith("sklearn."):
        return []
    told: Optional[Dict[str, Any]] = getattr(value, "__dict__", None)
    return list(told.values()) if told else []
