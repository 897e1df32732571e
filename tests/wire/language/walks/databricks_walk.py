"""databricks-sdk, databricks-openai and databricks-langchain: only what is Apache-2.0 in the last two.

Their packages import others under another licence on the way in. So the packages are made here, empty, and only those of
their modules are loaded that speak to a server: they need nothing of that kind.
"""

import importlib
import importlib.util
import json
import sys
import types
import warnings

from databricks.sdk import WorkspaceClient
from pydantic import BaseModel, Field
from steps import HELLO, TOOLS, refusal, step, tell, walk


def apache_only(package):
    """The package without its `__init__`."""
    folders = importlib.util.find_spec(package).submodule_search_locations
    made = types.ModuleType(package)
    made.__path__ = list(folders)
    sys.modules[package] = made
    return made


ours = apache_only("databricks_openai")
clients = importlib.import_module("databricks_openai.utils.clients")
ours.DatabricksOpenAI, ours.AsyncDatabricksOpenAI = clients.DatabricksOpenAI, clients.AsyncDatabricksOpenAI
apache_only("databricks_langchain")
ChatDatabricks = importlib.import_module("databricks_langchain.chat_models").ChatDatabricks
DatabricksEmbeddings = importlib.import_module("databricks_langchain.embeddings").DatabricksEmbeddings
warnings.simplefilter("ignore", DeprecationWarning)


class GetWeather(BaseModel):
    """The weather of a city."""

    city: str = Field(description="which")


class City(BaseModel):
    """A city and how warm it is."""

    city: str
    degrees: int


@step
def sdk_open_ai_client(workspace):
    client = workspace.serving_endpoints.get_open_ai_client(max_retries=0)
    answer = client.chat.completions.create(model="talk", messages=HELLO)
    chunks = list(client.chat.completions.create(model="talk", messages=HELLO, stream=True))
    return [answer.choices[0].message.content, "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)]


@step
def sdk_langchain_client(workspace):
    chat = workspace.serving_endpoints.get_langchain_chat_open_ai_client("talk")
    return [chat.invoke("Hi").content, "".join(chunk.content for chunk in chat.stream("Hi"))]


@step
def databricks_openai(workspace):
    """Over each of the ways to the same endpoints."""
    seen = {}
    ways = {"serving": {}, "mlflow": {"use_ai_gateway": True}, "openai": {"use_ai_gateway_native_api": True}}
    for name, way in ways.items():
        client = clients.DatabricksOpenAI(workspace_client=workspace, max_retries=0, **way)
        strict = [{"type": "function", "function": {**TOOLS[0]["function"], "strict": True}}]
        called = client.chat.completions.create(model="tools", messages=HELLO, tools=strict).choices[0].message
        chunks = list(client.chat.completions.create(model="talk", messages=HELLO, stream=True))
        embedded = client.embeddings.create(model="embed", input=["a", "b"])
        seen[name] = [
            [call.function.name for call in called.tool_calls],
            "".join(c.choices[0].delta.content or "" for c in chunks if c.choices),
            client.responses.create(model="talk", input="Hi").output_text,
            [one.embedding for one in embedded.data],
            refusal(lambda client=client: client.chat.completions.create(model="nobody", messages=HELLO))[:2],
        ]
    return seen


@step
async def databricks_openai_asynchronous(workspace):
    client = clients.AsyncDatabricksOpenAI(workspace_client=workspace, max_retries=0)
    stream = await client.chat.completions.create(model="talk", messages=HELLO, stream=True)
    return "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])


@step
def chat_databricks(workspace):
    chat = ChatDatabricks(endpoint="talk", workspace_client=workspace, max_retries=0, temperature=0.3, max_tokens=50)
    answer = chat.invoke("Hi")
    chunks = list(chat.stream("Hi", stream_usage=True, stream_options={"include_usage": True}))
    return [
        answer.content,
        answer.usage_metadata["total_tokens"],
        [chunk.content for chunk in chunks if chunk.content],
        [chunk.usage_metadata["total_tokens"] for chunk in chunks if chunk.usage_metadata],
        [one.content for one in chat.batch(["Hi", "Hello"])],
    ]


@step
def chat_databricks_through_the_gateway(workspace):
    seen = []
    for way in ({"use_ai_gateway": True}, {"use_ai_gateway_native_api": True}):
        seen.append(ChatDatabricks(endpoint="talk", workspace_client=workspace, **way).invoke("Hi").content)
    return seen


@step
def chat_databricks_tools(workspace):
    bound = ChatDatabricks(endpoint="tools", workspace_client=workspace, max_retries=0).bind_tools([GetWeather])
    answer = bound.invoke("Hi")
    whole = None
    for chunk in bound.stream("Hi"):
        whole = chunk if whole is None else whole + chunk
    return [[[c["id"], c["name"], c["args"]] for c in made.tool_calls] for made in (answer, whole)]


@step
def chat_databricks_reasoning(workspace):
    """Blocks, which this client turns into text."""
    chat = ChatDatabricks(endpoint="thinker", workspace_client=workspace, max_retries=0)
    answer = chat.invoke("Why?")
    again = chat.invoke([("user", "Why?"), answer, ("user", "And then?")])
    blocks, after = json.loads(answer.content), json.loads(again.content)
    return [[block["type"] for block in blocks], blocks[-1]["text"], after[-1]["text"]]


@step
def chat_databricks_structured(workspace):
    chat = ChatDatabricks(endpoint="shaped", workspace_client=workspace, max_retries=0)
    return chat.with_structured_output(City, method="json_schema").invoke("Hi").model_dump()


@step
def chat_databricks_responses(workspace):
    chat = ChatDatabricks(endpoint="talk", workspace_client=workspace, use_responses_api=True, max_retries=0)

    def text(content):
        return content if isinstance(content, str) else "".join(block.get("text", "") for block in content)

    return [text(chat.invoke("Hi").content), "".join(text(chunk.content) for chunk in chat.stream("Hi"))]


@step
def databricks_embeddings(workspace):
    client = DatabricksEmbeddings(endpoint="embed")
    return [client.embed_documents(["a", "b"]), client.embed_query("a")]


told = walk(WorkspaceClient())
told["loaded"] = sorted(
    name for name in sys.modules if name.startswith(("databricks_", "databricks.")) and "." not in name[11:]
)
told["restricted"] = [
    name for name in sys.modules if name.startswith(("databricks_ai", "databricks.ai_search", "databricks.connect"))
]
json.dumps(told)
tell(told)
