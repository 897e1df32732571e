"""All dialects the fake vendor speaks, in the order they are asked whose request it is. A new one is a module here and a line below."""

from __future__ import annotations

from tests.fakes.vendor.ai21 import AI21
from tests.fakes.vendor.anthropic import Anthropic
from tests.fakes.vendor.bedrock import Bedrock
from tests.fakes.vendor.cohere import Cohere
from tests.fakes.vendor.entra import Entra
from tests.fakes.vendor.openai import OpenAI
from tests.fakes.vendor.scene import Dialect, Heard, Reply, Scene
from tests.fakes.vendor.vertex import GoogleTokens, Vertex

DATABRICKS_EXTRAS = frozenset({"extra_params", "usage_context", "client_request_id", "top_k"})


class _UnderPath:
    """A dialect at addresses that contain something, for one server that is several vendors."""

    def __init__(self, part: str, dialect: Dialect) -> None:
        self.name = dialect.name
        self._part, self._dialect = part, dialect

    def claims(self, heard: Heard) -> bool:
        return self._part in heard.route and self._dialect.claims(heard)

    def reply(self, heard: Heard, scene: Scene) -> Reply:
        return self._dialect.reply(heard, scene)

    def refusal(self, status: int, message: str) -> Reply:
        return self._dialect.refusal(status, message)


def all_of_them() -> list[Dialect]:
    """Azure by key below `/openai/`, by token below `/entra/openai/`; Databricks below `/serving-endpoints/`; OpenAI anywhere else."""
    return [
        Entra(),
        Anthropic(),
        Bedrock(),
        GoogleTokens(),
        Vertex(),
        Cohere(),
        AI21(),
        _UnderPath("/entra/openai/", OpenAI("azure-openai")),
        _UnderPath("/openai/", OpenAI("azure-openai", "api-key")),
        _UnderPath("/serving-endpoints/", OpenAI("databricks", also_knows=DATABRICKS_EXTRAS, usage_everywhere=True)),
        OpenAI(),
    ]
