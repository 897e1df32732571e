"""Chat models and agents of our own, logged and registered with MLflow. A script, run against a running house: `train.py FOLDER`."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Iterator
from typing import Any

import mlflow
from mlflow.models import ModelSignature
from mlflow.pyfunc import ChatAgent, ChatModel, PythonModel, ResponsesAgent
from mlflow.types.agent import ChatAgentChunk, ChatAgentMessage, ChatAgentResponse
from mlflow.types.llm import (
    ChatChoice,
    ChatChoiceDelta,
    ChatChunkChoice,
    ChatCompletionChunk,
    ChatCompletionResponse,
    ChatMessage,
)
from mlflow.types.responses import ResponsesAgentResponse, ResponsesAgentStreamEvent
from mlflow.types.schema import Array, ColSpec, DataType, Schema

PINS = [f"{name}=={importlib.metadata.version(name)}" for name in ("mlflow", "numpy", "pandas")]
WORDS = ["Our", " own", " words."]


class Chat(ChatModel):  # type: ignore[misc]
    def predict(self, context: Any, messages: Any, params: Any) -> Any:
        said = ChatMessage(role="assistant", content="".join(WORDS))
        return ChatCompletionResponse(model="ours", choices=[ChatChoice(index=0, message=said, finish_reason="stop")])

    def predict_stream(self, context: Any, messages: Any, params: Any) -> Iterator[Any]:
        for number, word in enumerate(WORDS):
            finish = "stop" if number == len(WORDS) - 1 else None
            delta = ChatChoiceDelta(role="assistant", content=word)
            yield ChatCompletionChunk(
                model="ours", choices=[ChatChunkChoice(index=0, delta=delta, finish_reason=finish)]
            )


class Agent(ResponsesAgent):  # type: ignore[misc]
    def predict(self, request: Any) -> Any:
        return ResponsesAgentResponse(output=[self.create_text_output_item("".join(WORDS), "msg_1")])

    def predict_stream(self, request: Any) -> Iterator[Any]:
        for word in WORDS:
            yield ResponsesAgentStreamEvent(**self.create_text_delta(word, "msg_1"))
        item = self.create_text_output_item("".join(WORDS), "msg_1")
        yield ResponsesAgentStreamEvent(type="response.output_item.done", item=item)


class OlderAgent(ChatAgent):  # type: ignore[misc]
    def predict(self, messages: Any, context: Any = None, custom_inputs: Any = None) -> Any:
        return ChatAgentResponse(messages=[ChatAgentMessage(id="1", role="assistant", content="".join(WORDS))])

    def predict_stream(self, messages: Any, context: Any = None, custom_inputs: Any = None) -> Iterator[Any]:
        for word in WORDS:
            yield ChatAgentChunk(delta=ChatAgentMessage(id="1", role="assistant", content=word))


class Embeddings(PythonModel):  # type: ignore[misc]
    """OpenAI's shape from a plain function."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        texts = model_input["input"].iloc[0]
        data = [{"object": "embedding", "index": n, "embedding": [0.5, -0.25]} for n in range(len(texts))]
        return {"object": "list", "data": data, "model": "ours", "usage": {"prompt_tokens": 2, "total_tokens": 2}}


TEXTS = ModelSignature(Schema([ColSpec(Array(DataType.string), "input")]), Schema([ColSpec(DataType.string)]))
MODELS: dict[str, tuple[Any, dict[str, Any]]] = {
    "our_chat": (Chat(), {}),
    "our_agent": (Agent(), {}),
    "our_older_agent": (OlderAgent(), {}),
    "our_embeddings": (Embeddings(), {"signature": TEXTS}),
}

if __name__ == "__main__":
    mlflow.set_tracking_uri(f"sqlite:///{sys.argv[1]}/mlflow.db")
    mlflow.set_registry_uri("databricks-uc")
    mlflow.set_experiment("language")
    for name, (model, more) in MODELS.items():
        with mlflow.start_run():
            mlflow.pyfunc.log_model(
                name="model",
                python_model=model,
                registered_model_name=f"main.default.{name}",
                pip_requirements=PINS,
                **more,
            )
