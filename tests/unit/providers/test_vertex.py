"""What is Gemini's own: tokens, addresses, thought and its signatures, blocked prompts, the ways to say no."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.contract.providers import reading
from tests.contract.providers.cases import PIXEL, WEATHER
from tests.fakes.vendor.scene import Said, Scene, ToolCall, heard
from tests.fakes.vendor.vertex import SIGNATURE, TOKEN, GoogleTokens
from tests.fakes.vendor.vertex import Vertex as Dialect

from headgate.errors import InvalidParameterValue
from headgate.providers.port import CHAT, COMPLETIONS, EMBEDDINGS, BadAnswer, Credential, Outgoing, Request, Target
from headgate.providers.vertex.vendor import Vertex

NOW_S = 1_760_000_000.0
TOKEN_HELD = Credential(TOKEN, 4e9)
vertex = Vertex(lambda: NOW_S)


def target(model: str = "gemini-3-pro", task: str = CHAT, region: str = "us-central1", key: str = "{}") -> Target:
    return Target(vertex.name, model, task, {"project_id": "our-project", "region": region, "private_key": key})


def sent(body: dict[str, Any], model: str = "gemini-3-pro", region: str = "us-central1") -> Outgoing:
    full = {"messages": [{"role": "user", "content": "?"}], **body}
    return vertex.prepare(target(model, region=region), Request(full, bool(body.get("stream"))), TOKEN_HELD, NOW_S)


def asked(body: dict[str, Any], model: str = "gemini-3-pro") -> dict[str, Any]:
    return dict(orjson.loads(sent(body, model).body))


@pytest.fixture(scope="module")
def keys() -> tuple[str, str]:
    """A key file, and the public key that proves its signatures."""
    key = rsa.generate_private_key(65537, 2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    account = {
        "type": "service_account", "client_email": "a@our-project.iam.gserviceaccount.com", "private_key_id": "k1",
        "private_key": private.decode(), "token_uri": "http://169.254.169.254/token",
    }  # fmt: skip
    return orjson.dumps(account).decode(), public.decode()


def test_a_key_file_becomes_a_token(keys: tuple[str, str]):
    request = vertex.token_request(target(key=keys[0]), NOW_S)
    assert request is not None and request.url == "https://oauth2.googleapis.com/token", (
        "the key's own address is not followed"
    )
    answer = GoogleTokens(keys[1], "https://oauth2.googleapis.com/token").reply(heard(request), Scene())
    assert answer.status == 200, answer.body
    credential = vertex.credential(answer.body, NOW_S)
    assert credential == Credential(TOKEN, NOW_S + 3599)
    assert TOKEN not in repr((credential, request)) and "PRIVATE" not in repr((request, target(key=keys[0])))


def test_a_refused_assertion_is_about_credentials_and_no_token_is_a_bad_answer(keys: tuple[str, str]):
    other = rsa.generate_private_key(65537, 2048).public_key()
    public = other.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    request = vertex.token_request(target(key=keys[0]), NOW_S)
    assert request is not None
    refused = GoogleTokens(public, request.url).reply(heard(request), Scene())
    failure = vertex.failure(refused.status, {}, refused.body)
    assert (failure.status, failure.retryable) == (401, False) and "credentials" in failure.message
    for body in (
        b"",
        b"[]",
        b"{}",
        b'{"access_token": "", "expires_in": 1}',
        b'{"access_token": "x"}',
        b'{"access_token": 7, "expires_in": 7}',
    ):
        with pytest.raises(BadAnswer):
            vertex.credential(body, NOW_S)


@pytest.mark.parametrize(
    "key",
    ["", "AIza-not-a-key-file", "[]", '{"client_email": "a"}', '{"client_email": "a", "private_key": "hidden"}',
     '{"client_email": "a", "private_key": "hidden", "universe_domain": "evil.example"}'],
)  # fmt: skip
def test_another_kind_of_key_is_refused_and_not_quoted(key: str):
    with pytest.raises(InvalidParameterValue) as refused:
        vertex.token_request(target(key=key), NOW_S)
    assert "private_key" in refused.value.message and "hidden" not in refused.value.message
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    ("region", "host"),
    [("global", "aiplatform.googleapis.com"), ("eu", "aiplatform.eu.rep.googleapis.com"), ("europe-west4", "europe-west4-aiplatform.googleapis.com")],
)  # fmt: skip
def test_each_region_has_its_host(region: str, host: str):
    out = sent({"stream": True}, region=region)
    where = f"https://{host}/v1/projects/our-project/locations/{region}/publishers/google/models"
    assert out.url == f"{where}/gemini-3-pro:streamGenerateContent?alt=sse"


def test_names_cannot_lead_elsewhere():
    for region in ("evil.example/#", "", "US", "a" * 99):
        with pytest.raises(InvalidParameterValue, match="region"):
            sent({}, region=region)
    assert sent({}, "../../x?y").url.endswith("/models/..%2F..%2Fx%3Fy:generateContent")
    assert sent({}, "endpoints/123").url.endswith("/locations/us-central1/endpoints/123:generateContent")
    assert sent({}, "123").url.endswith("/endpoints/123:generateContent")


def test_what_is_no_chat_is_refused_with_advice():
    with pytest.raises(InvalidParameterValue, match="llm/v1/chat"):
        vertex.prepare(target(task=COMPLETIONS), Request({"prompt": "?"}), TOKEN_HELD, NOW_S)
    with pytest.raises(InvalidParameterValue, match="token"):
        vertex.prepare(target(), Request({"messages": []}), None, NOW_S)


@pytest.mark.parametrize(
    ("model", "said", "expected"),
    [
        ("gemini-3-pro", {"reasoning_effort": "high"}, {"thinkingLevel": "HIGH", "includeThoughts": True}),
        ("gemini-3-pro", {"reasoning_effort": "minimal"}, {"thinkingLevel": "MINIMAL", "includeThoughts": True}),
        ("gemini-2.5-pro", {"reasoning_effort": "medium"}, {"thinkingBudget": 8192, "includeThoughts": True}),
        ("gemini-2.5-pro", {"reasoning_effort": "none"}, {"thinkingBudget": 0}),
        ("gemini-2.5-pro", {"thinking": {"type": "enabled", "budget_tokens": 7}}, {"thinkingBudget": 7, "includeThoughts": True}),
        ("gemini-3-pro", {"thinking": {"type": "adaptive"}}, {"thinkingBudget": -1, "includeThoughts": True}),
        ("gemini-2.5-pro", {"thinking": {"type": "disabled"}}, {"thinkingBudget": 0}),
        ("gemini-2.5-pro", {}, None),
    ],
)  # fmt: skip
def test_how_much_to_think(model: str, said: dict[str, Any], expected: dict[str, Any] | None):
    assert asked(said, model).get("generationConfig", {}).get("thinkingConfig") == expected


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"reasoning_effort": "none"}, "gemini-3-pro always thinks"),
        ({"reasoning_effort": "xhigh"}, "reasoning_effort 'xhigh'"),
        ({"thinking": {"type": "enabled"}}, "budget_tokens"),
        ({"user": "u"}, "user"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"parallel_tool_calls": False}, "parallel_tool_calls"),
        ({"logit_bias": {"1": 1}}, "logit_bias"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"extra_params": {"generation_config": {"max_output_tokens": 9}}}, "maxOutputTokens"),
        ({"extra_params": {"generationConfig": {"candidateCount": 9}}}, "candidateCount"),
        ({"extra_params": {"system_instruction": {}}}, "systemInstruction"),
        ({"extra_params": {"contents": []}}, "contents"),
        ({"extra_params": {"tool_config": {"function_calling_config": {"stream_function_call_arguments": True}}}}, "pieces"),
        ({"extra_params": {"toolConfig": {"functionCallingConfig": {"streamFunctionCallArguments": True}}}}, "pieces"),
    ],
)  # fmt: skip
def test_what_gemini_cannot_do_or_rules_govern_is_refused_by_name(said: dict[str, Any], named: str):
    with pytest.raises(InvalidParameterValue, match=named):
        sent(said)


def test_extra_parameters_join_what_is_there():
    extra = {"generation_config": {"media_resolution": "MEDIA_RESOLUTION_LOW"}, "safety_settings": []}
    body = asked({"max_tokens": 9, "extra_params": extra, "parallel_tool_calls": True})
    assert body["generationConfig"] == {"maxOutputTokens": 9, "mediaResolution": "MEDIA_RESOLUTION_LOW"}
    assert body["safetySettings"] == []


def test_geminis_own_tools_stand_beside_functions():
    body = asked({"tools": [WEATHER, {"google_search": {}}, {"urlContext": {}}], "tool_choice": "auto"})
    declared, *own = body["tools"]
    assert [one["name"] for one in declared["functionDeclarations"]] == ["get_weather"]
    assert own == [{"googleSearch": {}}, {"urlContext": {}}]
    assert asked({"tools": [{"google_search": {}}]})["tools"] == [{"googleSearch": {}}]
    with pytest.raises(InvalidParameterValue, match="of type function"):
        sent({"tools": [{"type": "web_search"}]})


def test_strict_functions_are_called_as_their_schema_says():
    strict = {**WEATHER, "function": {**WEATHER["function"], "strict": True}}  # type: ignore[dict-item]
    assert asked({"tools": [strict]})["toolConfig"] == {"functionCallingConfig": {"mode": "VALIDATED"}}
    assert asked({"tools": [strict], "tool_choice": "required"})["toolConfig"] == {
        "functionCallingConfig": {"mode": "ANY"}
    }
    assert "toolConfig" not in asked({"tools": [WEATHER]})


def test_files_go_inline_or_by_address():
    items = [
        {"type": "image_url", "image_url": {"url": PIXEL}},
        {"type": "image_url", "image_url": {"url": "https://h/a.PNG?x=1"}},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        {"type": "audio_url", "audio_url": {"url": "gs://b/a.mp3"}},
        {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AA=="}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA==", "filename": "f.pdf"}},
        {"type": "document", "source": {"type": "text", "data": "words"}},
    ]
    parts = asked({"messages": [{"role": "user", "content": items}]})["contents"][0]["parts"]
    assert parts == [
        {"inlineData": {"mimeType": "image/png", "data": PIXEL.partition(",")[2]}},
        {"fileData": {"fileUri": "https://h/a.PNG?x=1", "mimeType": "image/png"}},
        {"inlineData": {"mimeType": "audio/wav", "data": "AA=="}},
        {"fileData": {"fileUri": "gs://b/a.mp3", "mimeType": "audio/mpeg"}},
        {"inlineData": {"mimeType": "video/mp4", "data": "AA=="}},
        {"inlineData": {"mimeType": "application/pdf", "data": "AA=="}},
        {"text": "words"},
    ]
    for url, named in (("https://h/image", "ending"), ("file:///etc/passwd", "https://")):
        with pytest.raises(InvalidParameterValue, match=named):
            sent({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]})


TWO = (ToolCall("", "get_weather", '{"city":"Köln"}'), ToolCall("", "get_time", '{"city":"Paris"}'))


@pytest.mark.parametrize("stream", [False, True])
def test_signatures_of_thought_go_back_where_they_came_from(stream: bool):
    scene = Scene((Said("Let me look.", TWO, "Six by nine.", "tool_calls"),))
    request = {"reasoning_effort": "low", "tools": [WEATHER], "stream": stream}
    reply = Dialect().reply(heard(sent(request)), scene)
    message = (
        _streamed(reply.body)
        if stream
        else orjson.loads(vertex.answer(target(), reply.body).body)["choices"][0]["message"]
    )
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": '{"a": 1}'} for call in reversed(message["tool_calls"])
    ]
    back = asked({"messages": [{"role": "user", "content": "?"}, message, *results], "tools": [WEATHER]})
    spoken, answered = back["contents"][1]["parts"], back["contents"][2]["parts"]
    words = [part for part in spoken if "text" in part]
    assert "".join(part["text"] for part in words if part.get("thought")) == "Six by nine."
    assert "".join(part["text"] for part in words if not part.get("thought")) == "Let me look."
    assert [part.get("thoughtSignature") for part in words if not part.get("thought")][-1] == SIGNATURE
    calls = [part for part in spoken if "functionCall" in part]
    assert [part.get("thoughtSignature") for part in calls] == [SIGNATURE, None]
    assert [part["functionResponse"]["name"] for part in answered] == ["get_weather", "get_time"], (
        "in the order of the calls"
    )


def _streamed(body: bytes) -> dict[str, Any]:
    """The message a client puts together, its items in the order they came."""
    reader = vertex.stream(target(), False)
    chunks = [reading.payload(event) for event in reading.events([*reader.feed(body), *reader.end()])[:-1]]
    content: list[Any] = []
    calls: list[Any] = []
    for chunk in chunks:
        delta = chunk["choices"][0]["delta"]
        said = delta.get("content")
        content += [{"type": "text", "text": said}] if isinstance(said, str) and said else said or []
        calls += [
            {name: value for name, value in call.items() if name != "index"} for call in delta.get("tool_calls", ())
        ]
    return {"role": "assistant", "content": content, "tool_calls": calls}


def test_a_call_without_signature_is_marked_as_such_for_models_that_insist():
    call = {"id": "c", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "?"},
        {"role": "assistant", "tool_calls": [call, {**call, "id": "d"}]},
        {"role": "tool", "tool_call_id": "c", "content": "rain"},
        {"role": "tool", "tool_call_id": "d", "content": "5"},
    ]
    newer, older = (asked({"messages": messages}, model)["contents"] for model in ("gemini-3-pro", "gemini-2.5-pro"))
    assert [part.get("thoughtSignature") for part in newer[1]["parts"]] == ["skip_thought_signature_validator", None]
    assert [part.get("thoughtSignature") for part in older[1]["parts"]] == [None, None]
    assert [part["functionResponse"]["response"] for part in older[2]["parts"]] == [{"output": "rain"}, {"output": "5"}]
    with pytest.raises(InvalidParameterValue, match="tool_call_id 'x'"):
        sent({"messages": [*messages[:2], {"role": "tool", "tool_call_id": "x", "content": ""}]})


BLOCKED = {
    "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
    "usageMetadata": {"promptTokenCount": 7},
    "modelVersion": "g",
    "responseId": "r",
}


def test_a_blocked_prompt_is_an_answer_that_was_filtered():
    answer = vertex.answer(target(), orjson.dumps(BLOCKED))
    choice = orjson.loads(answer.body)["choices"][0]
    assert choice["finish_reason"] == "content_filter" and "PROHIBITED_CONTENT" in choice["message"]["refusal"]
    assert answer.usage is not None and answer.usage.prompt_tokens == 7
    reader = vertex.stream(target(), False)
    events = reading.events([*reader.feed(b"data: " + orjson.dumps(BLOCKED) + b"\n\n"), *reader.end()])
    assert reading.payload(events[0])["choices"][0]["finish_reason"] == "content_filter"
    assert reader.complete and events[-1] == reading.DONE


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("STOP", "stop"), ("MAX_TOKENS", "length"), ("SAFETY", "content_filter"), ("SPII", "content_filter"), ("RECITATION", "content_filter"), ("OTHER", "stop")],
)  # fmt: skip
def test_reasons_to_finish(reason: str, finish: str):
    said = {"candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": reason}]}
    assert orjson.loads(vertex.answer(target(), orjson.dumps(said)).body)["choices"][0]["finish_reason"] == finish


def test_an_answer_the_model_failed_at_is_a_failure():
    said = orjson.dumps({"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL", "finishMessage": "print(x)"}]})
    with pytest.raises(BadAnswer, match=r"MALFORMED_FUNCTION_CALL.*print"):
        vertex.answer(target(), said)
    reader = vertex.stream(target(), False)
    events = reading.events([*reader.feed(b"data: " + said + b"\n\n"), *reader.end()])
    assert reader.failure is not None and reader.failure.retryable and reading.DONE not in events


QUOTA = {
    "code": 429, "message": "Resource exhausted.", "status": "RESOURCE_EXHAUSTED",
    "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "38.5s"}],
}  # fmt: skip


def test_when_to_come_back_stands_in_the_details():
    for body in ({"error": QUOTA}, [{"error": QUOTA}]):
        failure = vertex.failure(429, {}, orjson.dumps(body))
        assert (failure.status, failure.retry_after_s, failure.retryable) == (429, 38.5, True)
        assert "Resource exhausted." in failure.message
    assert vertex.failure(429, {b"retry-after": b"2"}, orjson.dumps({"error": QUOTA})).retry_after_s == 2.0
    for details in (None, 7, [7], [{"@type": "x"}], [{**QUOTA["details"][0], "retryDelay": "soon"}]):  # type: ignore[dict-item]
        assert vertex.failure(429, {}, orjson.dumps({"error": {**QUOTA, "details": details}})).retry_after_s is None


def test_an_error_in_the_middle_of_a_stream_keeps_its_meaning():
    reader = vertex.stream(target(), False)
    begun = reader.feed(b'data: {"candidates":[{"content":{"parts":[{"text":"Hel"}]}}]}\r\n\r\n')
    assert reader.first_content and begun
    last = reading.payload(reading.events(reader.feed(b"data: " + orjson.dumps({"error": QUOTA}) + b"\n\n"))[-1])
    assert last["error_code"] == "REQUEST_LIMIT_EXCEEDED"
    assert reader.failure is not None and reader.failure.retry_after_s == 38.5 and reader.end() == []
    assert vertex.failure(499, {}, b"{}").status == 503
    by_name = vertex.stream(target(), False)
    by_name.feed(b'data: {"error":{"status":"DEADLINE_EXCEEDED","message":"slow"}}\n\n')
    assert by_name.failure is not None and by_name.failure.status == 504


def test_a_choice_that_has_not_finished_is_not_complete():
    reader = vertex.stream(target(), False)
    reader.feed(
        b'data: {"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"},{"index":1,"content":{"parts":[{"text":"b"}]}}]}\n\n'
    )
    assert reading.DONE not in reading.events(reader.end()) and reader.failure is not None


def test_code_that_gemini_ran_and_pictures_it_made_are_shown():
    parts = [
        {"executableCode": {"language": "PYTHON", "code": "1+1"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2"}},
        {"text": "Two."},
        {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
    ]
    said = {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}
    content = orjson.loads(vertex.answer(target(), orjson.dumps(said)).body)["choices"][0]["message"]["content"]
    assert content[0]["text"] == "\n```python\n1+1\n```\n\n```\n2\n```\nTwo."
    assert content[1] == {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


def test_embeddings_take_texts_and_known_parameters_only():
    for body, named in (
        ({"input": [1, 2]}, "texts"),
        ({"input": "a", "instruction": "x"}, "instruction"),
        ({"input": "a", "extra_params": {"x": 1}}, "extra_params.x"),
    ):
        with pytest.raises(InvalidParameterValue, match=named):
            vertex.prepare(target("text-embedding-005", EMBEDDINGS), Request(body), TOKEN_HELD, NOW_S)
    for said in (b"{}", b'{"predictions":[{}]}', b'{"embeddings":7}'):
        with pytest.raises(BadAnswer):
            vertex.answer(target("text-embedding-005", EMBEDDINGS), said)
