"""Chat models and agents that are custom models, through the OpenAI and Databricks clients."""

import base64
import struct

import anthropic
import openai
from databricks.sdk import WorkspaceClient
from databricks.sdk.service.serving import ChatMessage, ChatMessageRole
from mlflow.deployments import get_deploy_client
from steps import HELLO, HOST, TOKEN, refusal, step, tell, walk


def client(door="/serving-endpoints"):
    return openai.OpenAI(base_url=HOST + door, api_key=TOKEN, max_retries=0)


def texts(chunks):
    return [c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content]


@step
def chat_model():
    create = client().chat.completions.create
    whole = create(model="our-chat", messages=HELLO, temperature=0.1, max_tokens=20)
    gateway = client("/ai-gateway/mlflow/v1").chat.completions.create(model="our-chat", messages=HELLO)
    return [
        whole.choices[0].message.content,
        whole.object,
        texts(create(model="our-chat", messages=HELLO, stream=True)),
        gateway.choices[0].message.content,
    ]


@step
def agent():
    create = client().responses.create
    events = list(create(model="our-agent", input=HELLO, stream=True))
    return [
        create(model="our-agent", input=HELLO).output_text,
        [event.delta for event in events if event.type == "response.output_text.delta"],
        events[-1].type,
    ]


@step
def older_agent():
    """Its answers are MLflow's own; MLflow's client reads them."""
    mine = get_deploy_client("databricks")
    answer = mine.predict(endpoint="our-older-agent", inputs={"messages": HELLO})
    chunks = list(mine.predict_stream(endpoint="our-older-agent", inputs={"messages": HELLO}))
    return [answer["messages"][0]["content"], [chunk["delta"]["content"] for chunk in chunks]]


@step
def agents_and_chat_models_by_other_dialects():
    """A completion beside an agent's messages; Anthropic's and the Responses API before models that know neither."""
    create = client().chat.completions.create
    whole = create(model="our-older-agent", messages=HELLO)
    streamed = list(create(model="our-older-agent", messages=HELLO, stream=True))
    messages = anthropic.Anthropic(
        base_url=HOST + "/serving-endpoints/anthropic", api_key=TOKEN, max_retries=0
    ).messages
    seen = [
        [whole.choices[0].message.content, whole.messages[0]["content"], whole.choices[0].finish_reason],
        [texts(streamed), streamed[-1].choices[0].finish_reason],
    ]
    for model in ("our-chat", "our-older-agent"):
        said = messages.create(model=model, max_tokens=20, messages=HELLO)
        with messages.stream(model=model, max_tokens=20, messages=HELLO) as stream:
            pieces = list(stream.text_stream)
        with client().responses.stream(model=model, input="Hello?") as stream:
            stream.until_done()
            final = stream.get_final_response().output_text
        response = client().responses.create(model=model, input="Hello?")
        seen.append([said.content[0].text, said.stop_reason, pieces, response.output_text, final])
    return seen


@step
def packed_embeddings():
    """As the SDK asks unasked, and as somebody asks who unpacks them himself."""
    create = client().embeddings.with_raw_response.create
    packed = create(model="our-embeddings", input=["a", "b"], encoding_format="base64").http_response.json()
    return [
        [one.embedding for one in client().embeddings.create(model="our-embeddings", input=["a", "b"]).data],
        [list(struct.unpack("<2f", base64.b64decode(one["embedding"]))) for one in packed["data"]],
    ]


@step
def embeddings():
    return [
        one.embedding
        for one in client().embeddings.create(model="our-embeddings", input=["a", "b"], encoding_format="float").data
    ]


@step
def by_the_sdk():
    said = [ChatMessage(role=ChatMessageRole.USER, content="Hi")]
    return WorkspaceClient().serving_endpoints.query("our-chat", messages=said).choices[0].message.content


@step
def refusals():
    return {
        "wrong input": refusal(lambda: client().chat.completions.create(model="our-chat", messages=[{"role": 5}]))[:2],
        "unknown": refusal(lambda: client().chat.completions.create(model="nobody", messages=HELLO))[:2],
    }


tell(walk())
