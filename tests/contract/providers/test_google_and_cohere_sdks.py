"""Google's and Cohere's own SDKs: they read what the fake vendor says, and what they send is what we send."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cohere
import cohere.errors
import httpx
import orjson
import pytest
from google import genai
from google.genai import errors, types
from google.oauth2 import credentials
from tests.contract.providers.cases import CASES, HELLO, WEATHER
from tests.fakes.vendor.cohere import Cohere
from tests.fakes.vendor.scene import Dialect, Heard, Said, Scene, ToolCall
from tests.fakes.vendor.vertex import SIGNATURE, TOKEN, Vertex, camel

from headgate.domain.usage import Usage
from headgate.providers import catalogue
from headgate.providers.port import CHAT, EMBEDDINGS, Credential, Outgoing, Request, Target

NOW_S = 1_760_000_000.0
CALLS = (ToolCall("call_1", "get_weather", '{"city":"Köln"}'), ToolCall("call_2", "get_weather", '{"city":"Paris"}'))
SCENE = Scene((Said("Let me look.", CALLS, "Six by nine.", "tool_calls"),), Usage(1200, 30, 1000, 0, 20))
VERTEX = {"project_id": "our-project", "region": "us-central1", "private_key": "{}"}
COHERE = {"cohere_api_key": "sk-secret"}


class Wire:
    """A transport at whose other end is a dialect; keeps what was sent."""

    def __init__(self, dialect: Dialect, scene: Scene = SCENE, status: int = 200) -> None:
        self.sent: list[Heard] = []
        self._dialect, self._scene, self._status = dialect, scene, status

    def client(self) -> httpx.Client:
        return httpx.Client(transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        heard = Heard(request.method, request.url.raw_path.decode(), headers, request.read())
        self.sent.append(heard)
        assert self._dialect.claims(heard), heard.path
        reply = self._dialect.reply(heard, self._scene)
        if self._status != 200:
            reply = self._dialect.refusal(self._status, "not now")
        return httpx.Response(reply.status, headers=dict(reply.headers), content=reply.body)


def google(wire: Wire) -> genai.Client:
    options = types.HttpOptions(api_version="v1", httpx_client=wire.client())
    token = credentials.Credentials(token=TOKEN)
    return genai.Client(
        vertexai=True, project="our-project", location="us-central1", credentials=token, http_options=options
    )


def coheres(wire: Wire) -> cohere.ClientV2:
    return cohere.ClientV2(api_key="sk-secret", httpx_client=wire.client())


def ours(provider: str, model: str, task: str, body: dict[str, Any]) -> Outgoing:
    config = VERTEX if provider == "google-cloud-vertex-ai" else COHERE
    vendor = catalogue.provider(provider, config)
    stream = bool(body.get("stream"))
    request = Request(orjson.dumps({"model": "e", **body}), stream)
    return vendor.prepare(Target(provider, model, task, config), request, Credential(TOKEN, 4e9), NOW_S)


@pytest.mark.parametrize("stream", [False, True])
def test_google_genai_reads_the_fake_vendor(stream: bool):
    speaker = google(Wire(Vertex()))
    config = types.GenerateContentConfig(
        thinking_config=types.ThinkingConfig(include_thoughts=True),
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    asked: dict[str, Any] = {"model": "gemini-3-pro", "contents": "?", "config": config}
    models = speaker.models
    answers = list(models.generate_content_stream(**asked)) if stream else [models.generate_content(**asked)]
    parts = [part for answer in answers for part in answer.candidates[0].content.parts]
    assert "".join(part.text for part in parts if part.thought) == "Six by nine."
    assert "".join(part.text for part in parts if part.text and not part.thought) == "Let me look."
    assert [part.function_call.args for part in parts if part.function_call] == [{"city": "Köln"}, {"city": "Paris"}]
    assert answers[-1].candidates[0].finish_reason == types.FinishReason.STOP
    used = answers[-1].usage_metadata
    assert (used.prompt_token_count, used.cached_content_token_count) == (1200, 1000)
    assert (used.candidates_token_count, used.thoughts_token_count) == (10, 20)


@pytest.mark.parametrize("model", ["text-embedding-005", "gemini-embedding-2"])
@pytest.mark.parametrize("texts", [["a"], ["a", "b"]])
def test_google_genai_reads_embeddings_and_sends_what_we_send(model: str, texts: list[str]):
    wire = Wire(Vertex(), Scene(embeddings=((1.0, 0.5), (0.25, -1.0))))
    config = types.EmbedContentConfig(output_dimensionality=2, task_type="RETRIEVAL_QUERY")
    contents: list[Any] = [types.Content(role="user", parts=[types.Part(text=text)]) for text in texts]
    contents = contents if "gemini" in model else texts
    answer = google(wire).models.embed_content(model=model, contents=contents, config=config)
    assert [one.values for one in answer.embeddings] == [[1.0, 0.5], [0.25, -1.0]][: len(texts)]
    body = {"input": texts, "dimensions": 2, "extra_params": {"task_type": "RETRIEVAL_QUERY"}}
    sent = ours("google-cloud-vertex-ai", model, EMBEDDINGS, body)
    assert sent.url.rpartition("/v1")[2].removeprefix("beta1") == wire.sent[0].path.removeprefix("/v1")
    mine, theirs = orjson.loads(sent.body), camel(wire.sent[0].json)
    if len(texts) == 2 and "gemini" in model:
        # The SDK configures the first of a batch only.
        theirs["requests"][1]["embedContentConfig"] = theirs["requests"][0]["embedContentConfig"]
    assert camel(mine) == theirs


def test_google_genai_sends_what_we_send():
    wire = Wire(Vertex())
    call = types.Part(
        function_call=types.FunctionCall(name="get_weather", args={"city": "Köln"}), thought_signature=SIGNATURE
    )  # type: ignore[arg-type]
    result = types.Part(function_response=types.FunctionResponse(name="get_weather", response={"output": "rain"}))
    function = WEATHER["function"]
    declared = types.FunctionDeclaration(
        name="get_weather", description=function["description"], parameters_json_schema=function["parameters"]
    )
    config = types.GenerateContentConfig(
        system_instruction=types.Content(parts=[types.Part(text="Be brief.")]),
        temperature=0.5, top_p=0.25, top_k=4, max_output_tokens=100, stop_sequences=["END"], seed=7, candidate_count=2,
        frequency_penalty=0.5, presence_penalty=0.25, response_logprobs=True, logprobs=2,
        response_mime_type="application/json", response_json_schema={"type": "object"},
        thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_level=types.ThinkingLevel.LOW),
        tools=[types.Tool(function_declarations=[declared])],
        tool_config=types.ToolConfig(
            function_calling_config=types.FunctionCallingConfig(
                mode=types.FunctionCallingConfigMode.ANY, allowed_function_names=["get_weather"]
            )
        ),
        labels={"team": "a"},
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )  # fmt: skip
    contents = [
        types.Content(role="user", parts=[types.Part(text="Hello?"), types.Part.from_bytes(data=b"abc", mime_type="image/png"),
                                          types.Part.from_uri(file_uri="gs://b/a.pdf", mime_type="application/pdf")]),
        types.Content(role="model", parts=[call]),
        types.Content(role="user", parts=[result]),
    ]  # fmt: skip
    google(wire).models.generate_content(model="gemini-3-pro", contents=contents, config=config)
    signed = {
        "extra_content": {
            "google": {"thought_signature": wire.sent[0].json["contents"][1]["parts"][0]["thoughtSignature"]}
        }
    }
    body = {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "Hello?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,YWJj"}},
                {"type": "document", "source": {"type": "url", "url": "gs://b/a.pdf"}},
            ]},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Köln"}'}, **signed}]},
            {"role": "tool", "tool_call_id": "c", "content": "rain"},
        ],
        "temperature": 0.5, "top_p": 0.25, "top_k": 4, "max_tokens": 100, "stop": "END", "seed": 7, "n": 2, "frequency_penalty": 0.5,
        "presence_penalty": 0.25, "logprobs": True, "top_logprobs": 2, "reasoning_effort": "low", "metadata": {"team": "a"},
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
        "tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "get_weather"}}, "parallel_tool_calls": True,
    }  # fmt: skip
    sent = ours("google-cloud-vertex-ai", "gemini-3-pro", CHAT, body)
    assert sent.url == f"https://us-central1-aiplatform.googleapis.com{wire.sent[0].path}"
    assert camel(orjson.loads(sent.body)) == camel(wire.sent[0].json)


@pytest.mark.parametrize("status", [400, 429, 503])
def test_google_genai_knows_the_fake_vendors_refusals(status: int):
    with pytest.raises(errors.APIError, match="not now") as raised:
        google(Wire(Vertex(), status=status)).models.generate_content(model="gemini-3-pro", contents="?")
    assert raised.value.code == status


def said(read: Callable[[cohere.ClientV2], Any], scene: Scene = SCENE) -> Any:
    return read(coheres(Wire(Cohere(), scene)))


ASKED: dict[str, Any] = {"model": "command-x", "messages": [HELLO], "tools": [WEATHER]}


def test_the_cohere_sdk_reads_the_fake_vendor():
    answer = said(lambda client: client.chat(**ASKED))
    assert answer.finish_reason == "TOOL_CALL" and answer.message.tool_plan == "Let me look."
    assert answer.message.content[0].thinking == "Six by nine."
    assert [(call.id, call.function.arguments) for call in answer.message.tool_calls] == [
        (call.id, call.arguments) for call in CALLS
    ]
    assert (answer.usage.billed_units.input_tokens, answer.usage.cached_tokens) == (1200, 1000)
    embedded = said(
        lambda client: client.embed(model="m", texts=["a"], input_type="search_query", embedding_types=["float"])
    )
    assert embedded.embeddings.float_ == [[0.5, -0.25, 0.125]]


def test_the_cohere_sdk_reads_the_fake_vendors_streams():
    events = said(lambda client: list(client.chat_stream(**ASKED)))
    assert events[0].type == "message-start" and events[-1].type == "message-end"
    plan = "".join(event.delta.message.tool_plan for event in events if event.type == "tool-plan-delta")
    arguments = "".join(
        event.delta.message.tool_calls.function.arguments for event in events if event.type == "tool-call-delta"
    )
    thought = "".join(event.delta.message.content.thinking for event in events if event.type == "content-delta")
    assert (plan, arguments, thought) == ("Let me look.", "".join(call.arguments for call in CALLS), "Six by nine.")
    assert events[-1].delta.usage.tokens.output_tokens == 30


@pytest.mark.parametrize("stream", [False, True])
def test_the_cohere_sdk_sends_what_we_send(stream: bool):
    calls = [{"id": "c", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Köln"}'}}]
    asked: dict[str, Any] = {
        "model": "command-x",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "?"}, {"type": "image_url", "image_url": {"url": "https://h/a.png"}}]},
            {"role": "assistant", "tool_calls": calls, "tool_plan": "Let me look."},
            {"role": "tool", "tool_call_id": "c", "content": "rain"},
        ],
        "tools": [WEATHER], "strict_tools": True, "documents": [{"data": {"text": "Rain."}}], "max_tokens": 9, "stop_sequences": ["END"],
        "temperature": 0.5, "seed": 7, "frequency_penalty": 0.5, "presence_penalty": 0.25, "k": 4, "p": 0.5, "logprobs": True,
        "tool_choice": "REQUIRED", "thinking": {"type": "enabled", "token_budget": 100},
    }  # fmt: skip
    wire = Wire(Cohere())
    if stream:
        list(coheres(wire).chat_stream(**asked))
    else:
        coheres(wire).chat(**asked)
    messages = [
        *asked["messages"][:2],
        {"role": "assistant", "content": "Let me look.", "tool_calls": calls},
        asked["messages"][3],
    ]
    body = {
        "messages": messages, "tools": [{**WEATHER, "function": {**WEATHER["function"], "strict": True}}], "max_tokens": 9, "stop": ["END"],
        "temperature": 0.5, "seed": 7, "frequency_penalty": 0.5, "presence_penalty": 0.25, "top_k": 4, "top_p": 0.5, "logprobs": True,
        "tool_choice": "required", "thinking": {"type": "enabled", "budget_tokens": 100}, "stream": stream,
        "extra_params": {"documents": asked["documents"]},
    }  # fmt: skip
    sent = ours("cohere", "command-x", CHAT, body)
    assert sent.url == f"https://api.cohere.com{wire.sent[0].path}"
    # The SDK says stream: false where we say nothing, and types where the API has but one.
    assert {"stream": False, **orjson.loads(sent.body)} == wire.sent[0].json


def test_the_cohere_sdk_embeds_as_we_do():
    wire = Wire(Cohere(), CASES["embeddings"].scene)
    asked: dict[str, Any] = {
        "model": "m",
        "texts": ["a", "b"],
        "input_type": "search_query",
        "embedding_types": ["base64"],
        "output_dimension": 2,
    }
    coheres(wire).embed(**asked)
    body = {
        "input": ["a", "b"],
        "encoding_format": "base64",
        "dimensions": 2,
        "extra_params": {"input_type": "search_query"},
    }
    assert orjson.loads(ours("cohere", "m", EMBEDDINGS, body).body) == wire.sent[0].json


@pytest.mark.parametrize(
    ("status", "expected"), [(400, cohere.errors.BadRequestError), (429, cohere.errors.TooManyRequestsError), (401, cohere.errors.UnauthorizedError)]
)  # fmt: skip
def test_the_cohere_sdk_knows_the_fake_vendors_refusals(status: int, expected: type[Exception]):
    with pytest.raises(expected, match="not now"):
        coheres(Wire(Cohere(), status=status)).chat(**ASKED, request_options={"max_retries": 0})
