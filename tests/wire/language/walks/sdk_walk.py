"""databricks-sdk, old or new: its own way to ask language models."""

from databricks.sdk import WorkspaceClient
from databricks.sdk.service.serving import ChatMessage, ChatMessageRole
from databricks.sdk.version import __version__
from steps import refusal, step, tell, walk


@step
def sdk_query(workspace):
    said = [ChatMessage(role=ChatMessageRole.USER, content="Hi")]
    query = workspace.serving_endpoints.query
    chat = query("talk", messages=said, max_tokens=20, temperature=0.1)
    text = query("complete", prompt="Once", max_tokens=20)
    embedded = query("embed", input=["a", "b"])
    return {
        "chat": [chat.choices[0].message.content, chat.usage.total_tokens, chat.served_model_name, chat.object.value],
        "completions": [text.choices[0].text, text.usage.total_tokens],
        "embeddings": [[one.embedding for one in embedded.data], embedded.data[1].index],
        "refused": refusal(lambda: query("refusing", messages=said)),
        "unknown": refusal(lambda: query("nobody", messages=said))[0],
    }


@step
def through_one_entity(workspace):
    """What has no method of its own."""
    path = "/serving-endpoints/talk/served-models/talk/invocations"
    body = {"messages": [{"role": "user", "content": "Hi"}]}
    return workspace.api_client.do("POST", path, body=body)["choices"][0]["message"]["content"]


tell(walk(WorkspaceClient()) | {"version": __version__})
