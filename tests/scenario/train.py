"""Trains the models of the scenario tests and registers them with MLflow. Run as a script against a running house.

Usage: python train.py FOLDER NAME…   (DATABRICKS_HOST, DATABRICKS_TOKEN, MLFLOW_REGISTRY_URI set)
"""

from __future__ import annotations

import importlib.metadata
import os
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from mlflow.pyfunc import PythonModel


def pins(*names: str) -> list[str]:
    """Exact requirements, so that all models of a kind share one environment."""
    return [f"{name}=={importlib.metadata.version(name)}" for name in ("mlflow", "numpy", "pandas", *names)]


SKLEARN = pins("scikit-learn")
FRAME = pd.DataFrame(np.random.default_rng(0).normal(size=(64, 3)), columns=["a", "b", "c"])
TARGET = (FRAME["a"] > 0).astype(int)


def log_sklearn(name: str) -> None:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression().fit(FRAME, TARGET)
    mlflow.sklearn.log_model(
        model,
        name="model",
        signature=infer_signature(FRAME, model.predict(FRAME)),
        input_example=FRAME.head(2),
        registered_model_name=name,
        pip_requirements=SKLEARN,
    )


def log_xgboost(name: str) -> None:
    import xgboost

    model = xgboost.XGBClassifier(n_estimators=3).fit(FRAME, TARGET)
    mlflow.xgboost.log_model(
        model,
        name="model",
        signature=infer_signature(FRAME, model.predict(FRAME)),
        registered_model_name=name,
        pip_requirements=pins("xgboost-cpu", "scikit-learn"),
    )


def log_lightgbm(name: str) -> None:
    import lightgbm

    model = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(FRAME, TARGET)
    mlflow.lightgbm.log_model(
        model,
        name="model",
        signature=infer_signature(FRAME, model.predict(FRAME)),
        registered_model_name=name,
        pip_requirements=pins("lightgbm", "scikit-learn"),
    )


def log_pytorch(name: str) -> None:
    import torch

    model = torch.nn.Linear(3, 1)
    example = FRAME.to_numpy(dtype=np.float32)
    output = model(torch.from_numpy(example)).detach().numpy()
    mlflow.pytorch.log_model(
        model,
        name="model",
        signature=infer_signature(example, output),
        serialization_format="pickle",
        registered_model_name=name,
        # A local version label (+cpu) is not on every index.
        pip_requirements=[pin.split("+")[0] for pin in pins("torch")],
    )


def log_pyfunc(name: str, model: PythonModel, **more: Any) -> None:
    options: dict[str, Any] = {"pip_requirements": SKLEARN, "signature": infer_signature(FRAME, [1])} | more
    mlflow.pyfunc.log_model(name="model", python_model=model, registered_model_name=name, **options)


class Versioned(PythonModel):
    """Answers with a fixed text, to tell versions apart."""

    def __init__(self, answer: str) -> None:
        self.answer = answer

    def predict(self, context: Any, model_input: Any, params: Any = None) -> list[str]:
        return [self.answer] * len(model_input)


class Streaming(PythonModel):
    """Counts words, also as a stream."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> list[str]:
        return [str(text) for text in model_input["prompt"]]

    def predict_stream(self, context: Any, model_input: Any, params: Any = None) -> Any:
        for word in str(model_input["prompt"]).split():
            yield {"word": word}


class Behaving(PythonModel):
    """Does what column `do` says: answer, sleep N, wait PATH, exit, abort, raise, print, environment, digest, leak."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> list[str]:
        import hashlib
        import logging
        import threading

        verb, _, argument = str(model_input["do"].iloc[0]).partition(" ")
        if verb == "sleep":
            threading.Event().wait(float(argument))
        elif verb == "wait":  # says at PATH that it was begun, goes on once that is gone
            with open(argument, "w"):
                while os.path.exists(argument):
                    threading.Event().wait(0.02)
        elif verb == "exit":
            os._exit(7)
        elif verb == "raise":
            raise ValueError(argument)
        elif verb == "print":
            print(f"printed {argument}", flush=True)
            logging.getLogger("model").warning("warned %s", argument)
        elif verb == "environment":
            return [os.environ.get(argument, "")]
        elif verb == "digest":
            return [hashlib.sha256(os.environ.get(argument, "").encode()).hexdigest()]
        elif verb == "leak":
            print(f"it is {os.environ[argument]}", flush=True)
            logging.getLogger("model").error("it is %s", os.environ[argument])
            raise ValueError(f"it is {os.environ[argument]}")
        elif verb == "abort":
            os.abort()
        elif verb == "names":
            return [",".join(sorted(os.environ))]
        elif verb == "pid":
            return [str(os.getpid())]
        return ["done"]


class Unloadable(PythonModel):
    """Fails when it is loaded."""

    def load_context(self, context: Any) -> None:
        raise RuntimeError("the model file is from another planet")

    def predict(self, context: Any, model_input: Any, params: Any = None) -> list[int]:
        return [1]


class LoadsOnce(PythonModel):
    """Loads the first time; after that its process ends while it loads."""

    def load_context(self, context: Any) -> None:
        marker = os.environ["MARKER"]
        if os.path.exists(marker):
            print("the second time is too much for me", flush=True)
            os._exit(3)
        with open(marker, "w"):
            pass

    def predict(self, context: Any, model_input: Any, params: Any = None) -> list[int]:
        return [1] * len(model_input)


class Telling(PythonModel):
    """Says which version of a package it sees that other environments pin otherwise."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> list[str]:
        import importlib.metadata

        return [importlib.metadata.version("typing_extensions")] * len(model_input)


DO = infer_signature(pd.DataFrame({"do": ["x"]}), ["y"])
PROMPT = infer_signature(pd.DataFrame({"prompt": ["x"]}), ["y"])


def log_unimportable(name: str) -> None:
    """Models from code whose import fails: the package it needs is not among its requirements."""
    source = Path(sys.argv[1]) / "unimportable.py"
    source.write_text(
        textwrap.dedent(
            """
            import a_package_nobody_has
            from mlflow.models import set_model
            from mlflow.pyfunc import PythonModel

            class Model(PythonModel):
                def predict(self, context, model_input, params=None):
                    return a_package_nobody_has.predict(model_input)

            set_model(Model())
            """
        )
    )
    # Logging imports the code once; then the package is there.
    stub = Path(sys.argv[1]) / "stubs"
    stub.mkdir(exist_ok=True)
    (stub / "a_package_nobody_has.py").write_text("predict = len\n")
    sys.path.insert(0, str(stub))
    mlflow.pyfunc.log_model(
        name="model",
        python_model=str(source),
        registered_model_name=name,
        signature=infer_signature(FRAME, [1]),
        pip_requirements=SKLEARN,
    )


MODELS: dict[str, Callable[[str], None]] = {
    "churn": log_sklearn,
    "boosted": log_xgboost,
    "lightly": log_lightgbm,
    "torched": log_pytorch,
    "streaming": lambda name: log_pyfunc(name, Streaming(), signature=PROMPT),
    "behaving": lambda name: log_pyfunc(name, Behaving(), signature=DO),
    "unloadable": lambda name: log_pyfunc(name, Unloadable()),
    "unimportable": log_unimportable,
    "once": lambda name: log_pyfunc(name, LoadsOnce()),
    "conflicting": lambda name: log_pyfunc(name, Telling(), pip_requirements=[*SKLEARN, "typing_extensions==4.14.1"]),
    "impossible": lambda name: log_pyfunc(name, Versioned("never"), pip_requirements=[*SKLEARN, "scipy<1"]),
}


def log_versions(name: str) -> None:
    """`versioned` 1, 2 and 3; 4 does not load."""
    for answer in ("one", "two", "three"):
        log_pyfunc(name, Versioned(answer))
    log_pyfunc(name, Unloadable())


MODELS["versioned"] = log_versions

if __name__ == "__main__":
    mlflow.set_tracking_uri(f"sqlite:///{sys.argv[1]}/mlflow.db")
    mlflow.set_registry_uri("databricks-uc")
    mlflow.set_experiment("scenario")
    for wanted in sys.argv[2:]:
        with mlflow.start_run():
            MODELS[wanted](f"main.default.{wanted}")
