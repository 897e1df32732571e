"""What OpenAI-compatible vendors are sent: the client's bytes, but for what must change."""

from __future__ import annotations

import random

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.wire.json_texts import bodies, pairs

from headgate.errors import HeadgateError, InvalidParameterValue, MalformedRequest
from headgate.providers import catalogue, compatible
from headgate.providers.port import CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES, BadAnswer, Request, Target
from headgate.wire import chat

KEY = {"openai_api_key": "sk"}
HI = b'"messages":[{"role":"user","content":"Hi"}]'


def sent(
    body: bytes, stream: bool = False, task: str = CHAT, config: dict[str, str] = KEY, provider: str = "openai"
) -> bytes:
    target = Target(provider, "gpt-x", task, config)
    return catalogue.provider(provider, config).prepare(target, Request(body, stream), None, 0.0).body


def test_only_the_model_changes():
    value = b'[{ "role":"user", "content":"\\u00e9 \\"model\\": 1e3"}]'
    body = b'{ "messages" : ' + value + b',\n "temperature":1.50, "model" : "the-endpoint" }\n'
    assert sent(body) == b'{"messages":' + value + b',"temperature":1.50,"model":"gpt-x"}'


def test_a_missing_model_is_added():
    assert sent(b"{" + HI + b"}") == b"{" + HI + b',"model":"gpt-x"}'
    assert sent(b'{"model":null,' + HI + b"}") == b'{"model":"gpt-x",' + HI + b"}"
    assert sent(b"{}") == b'{"model":"gpt-x"}'


def is_well_typed(body: bytes) -> bool:
    try:
        chat.read_head(body)
    except HeadgateError:
        return False
    return True


@settings(deadline=None, max_examples=150)
@given(body=bodies(), stream=st.booleans())
def test_what_is_sent_is_what_a_full_parse_would_send(body: bytes, stream: bool):
    before = dict(pairs(body))
    try:
        got = pairs(sent(body, stream))
    except HeadgateError:
        assert not is_well_typed(body)
        return
    assert len(got) == len(dict(got)), "nothing is said twice"
    after = dict(got)
    assert after["model"] == "gpt-x"
    assert after.get("stream", False) is stream or (after.get("stream") is None and not stream)
    assert not stream or dict(after["stream_options"])["include_usage"] is True
    ruled = {"model", "stream", "stream_options", *compatible.OURS}
    assert {name: value for name, value in got if name not in ruled} == {
        name: value for name, value in before.items() if name not in ruled
    }
    assert not set(after) & set(compatible.OURS)


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"a","messages":[],"model":"b"}',
        b'{"mod\\u0065l":"a","messages":[]}',
        b'{"messages":[{"model":"nested"}],"model":"a"}',
        b'{"metadata":{"model":"nested"},"messages":[]}',
        b'{"model":"a\\"b","messages":["\\"model\\":\\"x\\""]}',
        b'{"messages":["model"],"model":"a"}',
    ],
)
def test_no_spelling_of_the_model_gets_through(body: bytes):
    got = pairs(sent(body))
    assert [value for name, value in got if name == "model"] == ["gpt-x"]
    assert [pair for pair in got if pair[0] != "model"] == [pair for pair in pairs(body) if pair[0] != "model"]


@pytest.mark.parametrize("twice", ["messages", "max_tokens", "prompt", "tools"])
def test_of_a_field_given_twice_the_last_is_sent_which_is_the_one_that_was_checked(twice: str):
    first, last = ("1", "2") if twice == "max_tokens" else ('["a"]', '["b"]')
    body = f'{{"{twice}":{first},"model":"a","{twice}":{last}}}'.encode()
    assert sent(body).count(f'"{twice}"'.encode()) == 1
    assert orjson.loads(sent(body))[twice] == orjson.loads(body)[twice] == orjson.loads(last)


def test_usage_is_asked_for_on_streams():
    assert orjson.loads(sent(b'{"model":"a","stream":true,' + HI + b"}", True))["stream_options"] == {
        "include_usage": True
    }
    given_ = (
        b'{"model":"a","stream":true,"stream_options":{"include_obfuscation":false,"include_usage":false},' + HI + b"}"
    )
    assert orjson.loads(sent(given_, True))["stream_options"] == {"include_obfuscation": False, "include_usage": True}
    null = b'{"model":"a","stream":true,"stream_options":null,' + HI + b"}"
    assert orjson.loads(sent(null, True))["stream_options"] == {"include_usage": True}
    asked = b'{"model":"gpt-x","stream":true,"stream_options":{"include_usage":true},' + HI + b"}"
    assert sent(asked, True) == asked
    assert b"stream_options" not in sent(b'{"model":"a","stream":true,"input":"x"}', True, RESPONSES)
    assert b"stream_options" in sent(b'{"model":"a","stream":true,"prompt":"x"}', True, COMPLETIONS)


def test_what_is_ours_is_taken_out_and_extra_parameters_join():
    body = (
        b'{"usage_context":{"a":"b"},"model":"a","client_request_id":"c","extra_params":{"verbosity":"low","x":[1]},'
        + HI
        + b',"databricks_options":{}}'
    )
    assert orjson.loads(sent(body)) == {
        "model": "gpt-x",
        **orjson.loads(b"{" + HI + b"}"),
        "verbosity": "low",
        "x": [1],
    }
    databricks = {"databricks_workspace_url": "https://w", "databricks_api_token": "t"}
    kept = orjson.loads(sent(body, config=databricks, provider="databricks-model-serving"))
    assert kept == {**orjson.loads(body), "model": "gpt-x"}


@pytest.mark.parametrize(
    "extra", ['"text"', "[]", '{"model":"x"}', '{"messages":[]}', '{"stream":true}', '{"temperature":2}']
)
def test_extra_parameters_cannot_replace_what_is_there(extra: str):
    with pytest.raises(InvalidParameterValue, match="extra_params"):
        sent(b'{"model":"a","temperature":1,' + HI + b',"extra_params":' + extra.encode() + b"}")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"[]",
        b"3",
        b'{"a":}',
        b'{"a":1}{}',
        b"{'a':1}",
        b'{"a":"\x01"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"extra_params":{"a":"\\ud800"}}',
        b'{"extra_params":"\xff"}',
        b'{"messages":"\xff"}',
    ],
)
def test_what_is_no_object_is_malformed(body: bytes):
    with pytest.raises(MalformedRequest):
        sent(body)


@pytest.mark.parametrize(
    "body", [b'{"model":3}', b'{"stream":"yes"}', b'{"max_tokens":"9"}', b'{"n":[]}', b'{"stream_options":1}']
)
def test_a_field_of_a_wrong_type_is_named(body: bytes):
    with pytest.raises(InvalidParameterValue, match=orjson.loads(body).popitem()[0]):
        sent(body)


@pytest.mark.parametrize("field", ["previous_response_id", "conversation", "background", "service_tier", "store"])
def test_responses_keep_no_state_at_the_vendor(field: str):
    with pytest.raises(InvalidParameterValue, match=field):
        sent(orjson.dumps({"model": "a", "input": "x", field: True}), task=RESPONSES)
    sent(orjson.dumps({"model": "a", "input": "x", field: None}), task=RESPONSES)
    sent(b'{"model":"a","input":"x","store":false}', task=RESPONSES)


@pytest.mark.parametrize(
    ("config", "provider", "task", "url", "headers"),
    [
        (KEY, "openai", CHAT, "https://api.openai.com/v1/chat/completions", {b"authorization": b"Bearer sk"}),
        (
            {**KEY, "openai_api_base": "http://h:1/v1/", "openai_organization": "org"}, "openai", EMBEDDINGS, "http://h:1/v1/embeddings",
            {b"authorization": b"Bearer sk", b"openai-organization": b"org"},
        ),
        (
            {"openai_api_type": "AZURE", "openai_api_key": "k", "openai_api_base": "https://r.openai.azure.com/", "openai_api_version": "v",
             "openai_deployment_name": "a b/c"},
            "openai", COMPLETIONS, "https://r.openai.azure.com/openai/deployments/a%20b%2Fc/completions?api-version=v", {b"api-key": b"k"},
        ),
        (
            {"openai_api_type": "azuread", "openai_api_key": "aad", "openai_api_base": "https://r/openai", "openai_api_version": "v",
             "openai_deployment_name": "d"},
            "openai", RESPONSES, "https://r/openai/responses?api-version=v", {b"authorization": b"Bearer aad"},
        ),
        (
            {"custom_provider_url": "https://c/v1/chat/completions?key=1", "bearer_token_auth.token": "t"}, "custom", EMBEDDINGS,
            "https://c/v1/embeddings?key=1", {b"authorization": b"Bearer t"},
        ),
        (
            {"custom_provider_url": "https://c/e/invocations", "api_key_auth.key": "X-Key", "api_key_auth.value": "v"}, "custom", CHAT,
            "https://c/e/invocations", {b"x-key": b"v"},
        ),
        ({"custom_provider_url": "https://c/v1"}, "custom", RESPONSES, "https://c/v1/responses", {}),
        (
            {"databricks_workspace_url": "https://w/", "databricks_api_token": "t"}, "databricks-model-serving", CHAT,
            "https://w/serving-endpoints/chat/completions", {b"authorization": b"Bearer t"},
        ),
    ],
)  # fmt: skip
def test_where_it_goes_and_with_what(
    config: dict[str, str], provider: str, task: str, url: str, headers: dict[bytes, bytes]
):
    out = catalogue.provider(provider, config).prepare(
        Target(provider, "gpt-x", task, config), Request(b"{}"), None, 0.0
    )
    assert out.url == url
    assert dict(out.headers) == {b"content-type": b"application/json", **headers}


def test_an_error_that_came_as_a_200_is_no_answer():
    provider = catalogue.provider("openai", KEY)
    target = Target("openai", "gpt-x", CHAT, KEY)
    for body in (b'{"error":{"message":"overloaded"}}', b'{"error":"overloaded"}'):
        with pytest.raises(BadAnswer, match="overloaded"):
            provider.answer(target, body)
    fine = b'{"choices":[],"error":null,"usage":null}'
    assert provider.answer(target, fine).body is fine


def test_text_in_no_known_encoding_is_no_answer_wherever_it_stands():
    provider = catalogue.provider("openai", KEY)
    target = Target("openai", "gpt-x", CHAT, KEY)
    with pytest.raises(BadAnswer):
        provider.answer(target, b'{"choices":[{"index":0,"message":{"content":"\xff"}}]}')
    reader = provider.stream(target, False)
    (told,) = reader.feed(b'data: {"id":"\xff","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n')
    assert b'"error"' in told and reader.failure is not None
    reader = provider.stream(Target("openai", "gpt-x", RESPONSES, KEY), False)
    (told,) = reader.feed(b'data: {"type":"response.output_text.delta","delta":"\xff"}\n\n')
    assert reader.failure is not None


def test_ten_thousand_malformed_bodies_are_answers():
    chance = random.Random(5)
    whole = b'{"model":"e","stream":false,"messages":[{"role":"user","content":"\\u00e9\\n"}],"extra_params":{"a":[1.5e3,null]},"n":1}'
    outcomes = {"sent": 0, "refused": 0}
    for _ in range(10_000):
        body = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(body))
            body[at : at + chance.randint(0, 3)] = bytes(
                chance.choice(b'{}[]":,\\u0e\x00\xff 1') for _ in range(chance.randint(0, 3))
            )
        try:
            sent(bytes(body))
            outcomes["sent"] += 1
        except HeadgateError as error:
            assert error.http_status == 400
            outcomes["refused"] += 1
    assert outcomes["refused"] > 5000 and outcomes["sent"] > 50
