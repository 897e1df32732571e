"""scikit-learn predictors without scikit-learn's bookkeeping: the same operations on the same numbers in the same order, so the same
bits, in microseconds instead of a tenth or more of a millisecond (input checks, namespaces, joblib).

Used by `native`. Exact classes only; what a shortcut does not cover (NaN, infinities, many rows) goes to the library, and `proving`
compares it with the library before it is used. Knows classes by their names: imports nothing that the model has not.
"""

from __future__ import annotations

import sys
from typing import AbstractSet, Any, Callable, List, Optional, Tuple

Predict = Callable[[Any], Any]
FLOAT32_MAX = 3.4028234e38
LARGE_ROWS = 2048
"""From here on the library's own way costs no more where it uses several cores."""
_LINEAR_CLASSIFIERS = frozenset(
    {
        "LogisticRegression",
        "LogisticRegressionCV",
        "SGDClassifier",
        "Perceptron",
        "PassiveAggressiveClassifier",
        "LinearSVC",
    }
    | {"RidgeClassifier", "RidgeClassifierCV", "LinearDiscriminantAnalysis"}
)
_LINEAR_REGRESSORS = frozenset(
    {
        "LinearRegression",
        "Ridge",
        "RidgeCV",
        "Lasso",
        "LassoCV",
        "ElasticNet",
        "ElasticNetCV",
        "Lars",
        "LassoLars",
        "LinearSVR",
    }
    | {"LassoLarsCV", "SGDRegressor", "HuberRegressor", "BayesianRidge", "ARDRegression", "TheilSenRegressor"}
    | {"OrthogonalMatchingPursuit", "QuantileRegressor", "PassiveAggressiveRegressor"}
)
"""Those that predict with one product; `proving` finds out should a version do otherwise."""
_TREE_CLASSIFIERS = frozenset({"DecisionTreeClassifier", "ExtraTreeClassifier"})
_TREE_REGRESSORS = frozenset({"DecisionTreeRegressor", "ExtraTreeRegressor"})
_FOREST_CLASSIFIERS = frozenset({"RandomForestClassifier", "ExtraTreesClassifier"})
_FOREST_REGRESSORS = frozenset({"RandomForestRegressor", "ExtraTreesRegressor"})


def shortcut(estimator: Any) -> Optional[Predict]:
    """A predict for arrays (rows, columns) of numbers, which returns None for what it leaves to the library; None when the estimator
    is none of those known."""
    import numpy

    compute = _pipeline(estimator) or _predictor(estimator)
    if compute is None:
        return None
    largest, magnitude = numpy.maximum.reduce, numpy.abs
    last = estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator
    most = sys.maxsize if getattr(last, "n_jobs", None) in (None, 1) else LARGE_ROWS

    def predict(array: Any) -> Any:
        # One comparison finds NaN, infinities and what 32 bits cannot hold.
        if len(array) >= most or not largest(magnitude(array), axis=None) <= FLOAT32_MAX:
            return None
        return compute(array)

    return predict


def _predictor(estimator: Any) -> Optional[Predict]:
    return _linear(estimator) or _tree(estimator) or _forest(estimator)


def _pipeline(estimator: Any) -> Optional[Predict]:
    if not _is_one_of(estimator, {"Pipeline"}) or not estimator.steps:
        return None
    *transformers, (_, last) = estimator.steps
    transforms: List[Optional[Predict]] = [
        _transform(step) for _, step in transformers if step not in (None, "passthrough")
    ]
    predict = _predictor(last)
    if predict is None or None in transforms:
        return None

    def compute(array: Any) -> Any:
        for transform in transforms:
            array = transform(array)  # type: ignore[misc]
        return predict(array)

    return compute


def _transform(step: Any) -> Optional[Predict]:
    if "_sklearn_output_config" in vars(step):  # it may make frames
        return None
    if _is_one_of(step, {"StandardScaler"}):
        mean = step.mean_ if step.with_mean else None
        scale = step.scale_ if step.with_std else None
        return lambda array: _scaled(array, mean, scale)
    if _is_one_of(step, {"MinMaxScaler"}) and not step.clip:
        factor, offset = step.scale_, step.min_
        return lambda array: _floats(array) * factor + offset
    return None


def _scaled(array: Any, mean: Any, scale: Any) -> Any:
    array = _floats(array)
    if mean is not None:
        array = array - mean
    return array if scale is None else array / scale


def _floats(array: Any) -> Any:
    return array if array.dtype.kind == "f" else array.astype("float64")


def _linear(estimator: Any) -> Optional[Predict]:
    import numpy

    classifies = _is_one_of(estimator, _LINEAR_CLASSIFIERS)
    if not classifies and not _is_one_of(estimator, _LINEAR_REGRESSORS):
        return None
    weights, offset = estimator.coef_, estimator.intercept_
    if not isinstance(weights, numpy.ndarray) or weights.dtype.kind != "f":
        return None
    factor = weights.T if weights.ndim == 2 else weights
    if not classifies:
        return lambda array: array @ factor + offset
    classes = estimator.classes_

    def classify(array: Any) -> Any:
        scores = array @ factor + offset
        if scores.ndim > 1 and scores.shape[1] == 1:
            scores = scores.reshape(-1)
        return classes.take((scores > 0).astype("int64") if scores.ndim == 1 else scores.argmax(axis=1))

    return classify


def _is_one_of(estimator: Any, names: AbstractSet[str]) -> bool:
    """Exactly, not a class derived from it."""
    kind = type(estimator)
    return kind.__module__.startswith("sklearn.") and kind.__qualname__ in names


def _tree(estimator: Any) -> Optional[Predict]:
    classifies = _is_one_of(estimator, _TREE_CLASSIFIERS)
    if (not classifies and not _is_one_of(estimator, _TREE_REGRESSORS)) or estimator.n_outputs_ != 1:
        return None
    apply, values = _leaves(estimator)
    classes = estimator.classes_ if classifies else None

    def compute(array: Any) -> Any:
        found = values.take(apply(_float32(array)), axis=0)
        return found[:, 0] if classes is None else classes.take(found.argmax(axis=1), axis=0)

    return compute


def _forest(estimator: Any) -> Optional[Predict]:
    import numpy

    classifies = _is_one_of(estimator, _FOREST_CLASSIFIERS)
    if (not classifies and not _is_one_of(estimator, _FOREST_REGRESSORS)) or estimator.n_outputs_ != 1:
        return None
    if not all(_is_one_of(tree, _TREE_CLASSIFIERS | _TREE_REGRESSORS) for tree in estimator.estimators_):
        return None
    leaves = [_leaves(tree) for tree in estimator.estimators_]
    classes = estimator.classes_ if classifies else None
    width = leaves[0][1].shape[1]
    if any(values.shape[1] != width for _, values in leaves):
        return None
    count, zeros, add = len(leaves), numpy.zeros, numpy.add

    def compute(array: Any) -> Any:
        array = _float32(array)
        total = zeros((len(array), width))
        for apply, values in leaves:  # in this order: a sum of floats depends on it
            add(total, values.take(apply(array), axis=0), total)
        total /= count
        return total[:, 0] if classes is None else classes.take(total.argmax(axis=1), axis=0)

    return compute


def _leaves(tree: Any) -> Tuple[Any, Any]:
    """(rows → their leaves, what each node predicts: nodes × classes)."""
    values = tree.tree_.value
    return tree.tree_.apply, values.reshape(len(values), -1)


def _float32(array: Any) -> Any:
    return array.astype("float32", order="C")
