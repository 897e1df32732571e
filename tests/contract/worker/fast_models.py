"""Models made in the process, as MLflow would load them, for the tests of the worker's fast path."""

from __future__ import annotations

import json
import warnings
from typing import Any

import pandas as pd

from headgate_worker.decoding import JSON
from headgate_worker.scoring import Answer, Scorer

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # MLflow's import warns of its own type hints
    from mlflow.models import Model, ModelSignature, infer_signature
    from mlflow.pyfunc import PyFuncModel
    from mlflow.types import ParamSchema, Schema


def model_of(schema: Schema, impl: Any, params: ParamSchema | None = None) -> PyFuncModel:
    """A model of the user's own."""
    return PyFuncModel(model_meta=Model(signature=ModelSignature(inputs=schema, params=params)), model_impl=impl)


def library_model(estimator: Any, frame: Any, flavor: str = "sklearn") -> PyFuncModel:
    """A library's model in MLflow's wrapper."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow.lightgbm
        import mlflow.sklearn
        import mlflow.xgboost

        signature = infer_signature(frame)
    wrappers = {
        "sklearn": mlflow.sklearn._SklearnModelWrapper,
        "xgboost": mlflow.xgboost._XGBModelWrapper,
        "lightgbm": mlflow.lightgbm._LGBModelWrapper,
    }
    meta = Model(signature=signature, flavors={"python_function": {"loader_module": f"mlflow.{flavor}"}})
    return PyFuncModel(model_meta=meta, model_impl=wrappers[flavor](estimator))


def split_body(frame: Any) -> bytes:
    """The frame, or matrix, as a request."""
    if not isinstance(frame, pd.DataFrame):
        return json.dumps({"inputs": frame.tolist()}).encode()
    table = frame.to_dict(orient="split")
    return json.dumps({"dataframe_split": {"columns": table["columns"], "data": table["data"]}}).encode()


def alone(scorer: Scorer, body: bytes) -> Answer:
    """By MLflow's own functions."""
    answer = scorer.score(JSON, body)
    assert isinstance(answer, Answer)
    return answer
