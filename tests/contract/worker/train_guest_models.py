"""Saves the models of the worker's tests below the folder named by the first argument. Run by the environment under test."""

import ctypes
import datetime
import os
import random
import sys
import threading
import time
from pathlib import Path

import mlflow
import mlflow.pyfunc
import mlflow.sklearn
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature, infer_signature
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, RESOURCE_DOES_NOT_EXIST
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
from sklearn.linear_model import LinearRegression

OUT = Path(sys.argv[1])


class Echo(mlflow.pyfunc.PythonModel):
    """Tells what it got, and types of it."""

    def predict(self, context, model_input, params=None):
        if isinstance(model_input, pd.DataFrame):
            told = {"rows": len(model_input), "types": [str(kind) for kind in model_input.dtypes]}
            told["values"] = model_input.astype(str).to_dict(orient="list")
        else:
            told = {"kind": type(model_input).__name__, "text": repr(model_input)}
        return {**told, "params": params}


class Traced(mlflow.pyfunc.PythonModel):
    """Tells whether what it does is traced."""

    def predict(self, context, model_input, params=None):
        with mlflow.start_span("predict") as span:
            return [type(span).__name__]


class Shapes(mlflow.pyfunc.PythonModel):
    """Answers with a value of the asked kind."""

    def predict(self, context, model_input, params=None):
        return ANSWERS[model_input["kind"].iloc[0]]()


ANSWERS = {
    "frame": lambda: pd.DataFrame({"a": [1, 2], "b": ["x", None], "c": [0.5, float("nan")]}),
    "series": lambda: pd.Series([1.5, 2.5], name="s"),
    "float32": lambda: np.array([0.1, 0.2], dtype=np.float32),
    "matrix": lambda: np.arange(6).reshape(2, 3),
    "objects": lambda: np.array([b"ab", 1, np.float32(0.1), None], dtype=object),
    "nan": lambda: [float("nan"), float("inf"), 1.0],
    "nan in numpy": lambda: np.array([np.nan, 1.0]),
    "dates": lambda: [
        datetime.datetime(2024, 1, 2, 3, 4, 5),
        datetime.date(2024, 1, 2),
        pd.Timestamp("2024-01-02T03:04:05.123456789"),
    ],
    "integer keys": lambda: {1: "a", 2: "b"},
    "tuple": lambda: (1, (2, 3)),
    "numpy scalars": lambda: {"i": np.int64(7), "f": np.float32(0.1), "b": np.bool_(True)},
    "big integer": lambda: [2**80],
    "bytes": lambda: [b"abc"],
    "text": lambda: "äöü \ud83d\ude00",
    "none": lambda: None,
    "lone surrogate": lambda: "\ud800",
}


class Raises(mlflow.pyfunc.PythonModel):
    """Fails in the asked way."""

    def predict(self, context, model_input, params=None):
        kind = model_input["kind"].iloc[0]
        if kind == "value error":
            raise ValueError("no such thing")
        if kind == "mlflow 404":
            raise MlflowException("there is none", error_code=RESOURCE_DOES_NOT_EXIST)
        if kind == "mlflow 500":
            raise MlflowException("broken", error_code=INTERNAL_ERROR)
        if kind == "system exit":
            sys.exit(3)
        if kind == "keyboard interrupt":
            raise KeyboardInterrupt
        if kind == "memory":
            raise MemoryError("too large")
        if kind == "not json":
            return {"x": object()}
        return [1]


class Crashes(mlflow.pyfunc.PythonModel):
    """Ends its process."""

    def predict(self, context, model_input, params=None):
        kind = model_input["kind"].iloc[0]
        if kind == "exit":
            os._exit(7)
        if kind == "segfault":
            ctypes.string_at(0)
        return [1]


class Waits(mlflow.pyfunc.PythonModel):
    """Takes its time in the asked way; tells through files in the folder it is given."""

    def predict(self, context, model_input, params=None):
        kind, folder = model_input["kind"].iloc[0], Path(model_input["folder"].iloc[0])
        if kind == "forever":  # not interruptible
            (folder / "begun").touch()
            threading.Event().wait()
        if kind == "loop":
            try:
                (folder / "begun").touch()
                while True:
                    time.sleep(0.001)
            except BaseException as error:
                (folder / "interrupted").write_text(type(error).__name__)
                raise
        if kind == "until":
            (folder / "begun").touch()
            while not (folder / "go").exists():
                time.sleep(0.001)
        if kind == "say":
            print("said on stdout")
            print("said on stderr", file=sys.stderr)
            os.write(1, b"said on descriptor 1\n")
            import logging

            logging.getLogger("mine").warning("said as a warning")
            logging.getLogger("mine").info("not said")
        if kind == "environ":
            return [dict(os.environ)]
        if kind == "random":
            return [random.random(), np.random.random(), np.random.random()]
        return [kind]


class Each(mlflow.pyfunc.PythonModel):
    """Row by row; one bad row fails the call. Writes down the rows of each call, and holds one that asks for it."""

    def predict(self, context, model_input, params=None):
        kinds, folder = list(model_input["kind"]), Path(model_input["folder"].iloc[0])
        with (folder / "calls").open("a") as calls:
            calls.write(" ".join(kinds) + "\n")
        if "hold" in kinds:
            (folder / "begun").touch()
            while not (folder / "go").exists():
                time.sleep(0.001)
        if "bad" in kinds:
            raise ValueError("a bad row")
        return [kind.upper() for kind in kinds]


class Streams(mlflow.pyfunc.PythonModel):
    """A chat-like model that streams."""

    def predict(self, context, model_input, params=None):
        return {"got": repr(model_input), "params": params}

    def predict_stream(self, context, model_input, params=None):
        try:
            told = (
                model_input.get("prompt") or model_input.get("messages")
                if isinstance(model_input, dict)
                else model_input
            )
            if told == "fail at once":
                raise ValueError("at once")
            if told == "fail later":
                yield {"piece": 0}
                raise ValueError("later")
            if told == "endless" or str(told).startswith("endless:"):
                number = 0
                while True:
                    yield {"piece": number, "filler": "x" * 1000}
                    number += 1
            if str(told).startswith("held:"):
                folder = Path(str(told).partition(":")[2])
                yield {"piece": 0}
                while not (folder / "go").exists():
                    time.sleep(0.001)
            for number in range(3):
                yield {"piece": number, "of": repr(told)}
        finally:
            print("stream closed")


class Nothing(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return [0] * len(model_input)


class NeedsAbsentModule(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        if "_MLFLOW_IS_IN_SERVING_ENVIRONMENT" in os.environ:  # some versions of MLflow load when they save
            import a_module_that_is_absent  # noqa: F401

    def predict(self, context, model_input, params=None):
        return []


class RaisesAtLoad(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        if "_MLFLOW_IS_IN_SERVING_ENVIRONMENT" in os.environ:
            raise RuntimeError("the weights are torn")

    def predict(self, context, model_input, params=None):
        return []


KIND = ModelSignature(inputs=Schema([ColSpec(DataType.string, "kind")]))
WAIT = ModelSignature(inputs=Schema([ColSpec(DataType.string, "kind"), ColSpec(DataType.string, "folder")]))
TYPED = ModelSignature(
    inputs=Schema(
        [
            ColSpec(DataType.long, "l"),
            ColSpec(DataType.integer, "i"),
            ColSpec(DataType.double, "d"),
            ColSpec(DataType.float, "f"),
            ColSpec(DataType.string, "s"),
            ColSpec(DataType.boolean, "b"),
            ColSpec(DataType.datetime, "t"),
            ColSpec(DataType.binary, "x", required=False),
        ]
    ),
    params=ParamSchema([ParamSpec("scale", DataType.double, 1.0), ParamSpec("names", DataType.string, ["a"], (-1,))]),
)
NUMBERS = ModelSignature(
    inputs=Schema(
        [
            ColSpec(DataType.long, "l"),
            ColSpec(DataType.integer, "i"),
            ColSpec(DataType.double, "d"),
            ColSpec(DataType.float, "f"),
            ColSpec(DataType.boolean, "b"),
        ]
    )
)
TENSOR = ModelSignature(inputs=Schema([TensorSpec(np.dtype("float32"), (-1, 2))]))
NAMED_TENSORS = ModelSignature(
    inputs=Schema([TensorSpec(np.dtype("float64"), (-1, 2), "a"), TensorSpec(np.dtype("int64"), (-1,), "b")])
)


def save(name, model, **more):
    mlflow.pyfunc.save_model(str(OUT / name), python_model=model, pip_requirements=["mlflow"], **more)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    x = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [2.0, 1.0, 4.0]})
    y = 2.0 * x["a"] + 3.0 * x["b"]
    model = LinearRegression().fit(x, y)
    signature = infer_signature(x, model.predict(x))
    for name, example in (("sklearn", None), ("sklearn_with_example", x)):
        mlflow.sklearn.save_model(
            model, str(OUT / name), signature=signature, input_example=example, pip_requirements=["mlflow"]
        )
    save("echo", Echo())
    save("typed", Echo(), signature=TYPED)
    save("numbers", Echo(), signature=NUMBERS)
    save("tensor", Echo(), signature=TENSOR)
    save("named_tensors", Echo(), signature=NAMED_TENSORS)
    save("shapes", Shapes(), signature=KIND)
    save("raises", Raises(), signature=KIND)
    save("crashes", Crashes(), signature=KIND)
    save("waits", Waits(), signature=WAIT)
    save("each", Each(), signature=WAIT)
    chat_params = ModelSignature(
        inputs=Schema([ColSpec(DataType.string, "prompt")]),
        params=ParamSchema([ParamSpec("temperature", DataType.double, 0.5)]),
    )
    save("chat_with_params", Echo(), signature=chat_params)
    save("streams", Streams())
    save("traced", Traced())
    for name, broken in (("absent_module", NeedsAbsentModule()), ("raises_at_load", RaisesAtLoad())):
        save(name, broken, signature=KIND)
    if int(mlflow.__version__.partition(".")[0]) >= 3:
        save_agents()


def save_agents():
    """MLflow's own chat interfaces; not in every version."""
    from mlflow.pyfunc import ChatModel, ResponsesAgent
    from mlflow.types.llm import ChatChoice, ChatCompletionResponse, ChatMessage
    from mlflow.types.responses import ResponsesAgentResponse, ResponsesAgentStreamEvent

    class Agent(ResponsesAgent):
        def predict(self, request):
            return ResponsesAgentResponse(output=[self.create_text_output_item(f"got {request.custom_inputs}", "1")])

        def predict_stream(self, request):
            yield ResponsesAgentStreamEvent(**self.create_text_delta("hel", "1"))
            item = self.create_text_output_item("hello", "1")
            yield ResponsesAgentStreamEvent(type="response.output_item.done", item=item)

    class Chat(ChatModel):
        def predict(self, context, messages, params):
            said = ChatMessage(role="assistant", content=f"{messages[0].content} at {params.temperature}")
            return ChatCompletionResponse(model="m", choices=[ChatChoice(index=0, message=said, finish_reason="stop")])

    save("responses_agent", Agent())
    save("chat_model", Chat())


if __name__ == "__main__":
    main()
