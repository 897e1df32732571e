"""Which endpoint, task and dialect a request means; whatever a body holds, nothing but an error for the client comes of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.domain.external_model import ExternalModel
from headgate.domain.routing import EndpointRoute, EntityRoute, GatewayRoute
from headgate.errors import BadRequest, HeadgateError, InvalidParameterValue, MalformedRequest
from headgate.gateway import call as apis
from headgate.gateway import paths
from headgate.gateway.call import Call
from headgate.gateway.dialects import choosing
from headgate.gateway.stages.address import Address
from headgate.gateway.stages.parse import Parse
from headgate.providers.capabilities import Capabilities
from headgate.providers.port import CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES

HELLO = [{"role": "user", "content": "Hello?"}]
PATHS = {api: path for path, api in paths.BY_BODY.items()} | {apis.INVOCATIONS: "/serving-endpoints/churn/invocations"}
NOTHING = Capabilities(frozenset())
LIMIT = 10_000


def a_call(api: str, body: bytes | bytearray, served: str = CHAT, provider: str = "openai", **fields: str) -> Call:
    path = PATHS[api]
    head = paths.head("POST", path, paths.target("POST", path), {})
    model = ExternalModel("m", provider, served, fields)
    entity = EntityRoute("m", "", "", "key", 100, 0, external=model)
    gateway = GatewayRoute(kind="EXTERNAL_MODEL", task=served)
    endpoint = EndpointRoute("id", "churn", "READY", (entity,), gateway=gateway)
    return Call(head, body, len(body), 0.0, 0.0, endpoint=endpoint)


def entered(call: Call) -> Call:
    Address(LIMIT)(call)
    assert Parse(16 * 1024**2)(call) is None
    return call


def asked(api: str, served: str = CHAT, provider: str = "openai", **body: Any) -> Call:
    return entered(a_call(api, json.dumps({"model": "churn", **body}).encode(), served, provider))


@pytest.mark.parametrize(
    ("api", "served", "body", "task"),
    [
        (apis.CHAT_COMPLETIONS, CHAT, {"messages": HELLO}, CHAT),
        (apis.MESSAGES, CHAT, {"messages": HELLO}, CHAT),
        (apis.RESPONSES, CHAT, {"input": "Hello?"}, RESPONSES),
        (apis.COMPLETIONS, COMPLETIONS, {"prompt": "Once"}, COMPLETIONS),
        (apis.EMBEDDINGS, EMBEDDINGS, {"input": "Once"}, EMBEDDINGS),
        (apis.INVOCATIONS, CHAT, {"messages": HELLO}, CHAT),
        (apis.INVOCATIONS, CHAT, {"input": "Hello?"}, RESPONSES),
        (apis.INVOCATIONS, COMPLETIONS, {"prompt": "Once"}, COMPLETIONS),
        (apis.INVOCATIONS, EMBEDDINGS, {"input": ["Once"]}, EMBEDDINGS),
    ],
)
def test_the_route_and_the_form_of_the_body_say_what_is_asked(api: str, served: str, body: Any, task: str) -> None:
    assert asked(api, served, **body).task == task


@pytest.mark.parametrize(
    ("api", "served", "body", "says"),
    [
        (apis.COMPLETIONS, CHAT, {"prompt": "x"}, "serves llm/v1/chat: send it POST /serving-endpoints/chat/completions"),
        (apis.EMBEDDINGS, CHAT, {"input": "x"}, "serves llm/v1/chat"),
        (apis.CHAT_COMPLETIONS, EMBEDDINGS, {"messages": HELLO}, "POST /serving-endpoints/embeddings with 'input'"),
        (apis.RESPONSES, COMPLETIONS, {"input": "x"}, "POST /serving-endpoints/completions with 'prompt'"),
        (apis.MESSAGES, EMBEDDINGS, {"messages": HELLO}, "serves llm/v1/embeddings"),
        (apis.INVOCATIONS, CHAT, {"prompt": "x"}, "send 'messages' or 'input' in the body"),
        (apis.INVOCATIONS, CHAT, {"dataframe_records": [{}]}, "here or at POST /serving-endpoints/chat/completions"),
        (apis.INVOCATIONS, EMBEDDINGS, {"messages": HELLO}, "send 'input' in the body"),
    ],
)  # fmt: skip
def test_what_an_endpoint_does_not_do_is_refused_with_where_to_go(api: str, served: str, body: Any, says: str) -> None:
    with pytest.raises(BadRequest) as refused:
        asked(api, served, **body)
    assert says in refused.value.message


@pytest.mark.parametrize(
    ("provider", "fields", "natively"),
    [
        ("openai", {}, True),
        ("openai", {"openai_api_type": "azure"}, True),
        ("databricks-model-serving", {}, True),
        ("custom", {"custom_provider_url": "https://x.example/v1/responses"}, True),
        ("custom", {"custom_provider_url": "https://x.example/v1"}, False),
        ("anthropic", {}, False),
        ("amazon-bedrock", {"bedrock_provider": "Anthropic"}, False),
    ],
)
def test_responses_go_through_where_the_vendor_has_them(provider: str, fields: dict[str, str], natively: bool) -> None:
    body = json.dumps({"model": "churn", "input": "Hello?"}).encode()
    call = entered(a_call(apis.RESPONSES, body, provider=provider, **fields))
    assert call.task == (RESPONSES if natively else CHAT)
    assert (call.body == body) == natively
    if not natively:
        assert json.loads(call.body)["messages"] == HELLO


def test_a_body_is_bytes_from_here_on() -> None:
    body = bytearray(json.dumps({"messages": HELLO}).encode())
    assert type(entered(a_call(apis.INVOCATIONS, body)).body) is bytes


@pytest.mark.parametrize(
    ("body", "error", "says"),
    [
        (b"{", MalformedRequest, "not valid JSON"),
        (b"[]", MalformedRequest, "not a JSON object"),
        (b"", MalformedRequest, "not valid JSON"),
        (b"{}", InvalidParameterValue, "give its name as 'model'"),
        (b'{"model":""}', InvalidParameterValue, "give its name as 'model'"),
        (b'{"model":5}', InvalidParameterValue, "$.model"),
        (b'{"model":"churn","stream":"yes"}', InvalidParameterValue, "$.stream"),
    ],
)
def test_a_body_that_names_no_endpoint_is_refused(body: bytes, error: type[HeadgateError], says: str) -> None:
    with pytest.raises(error) as refused:
        entered(a_call(apis.CHAT_COMPLETIONS, body))
    assert says in refused.value.message


def test_a_body_that_is_too_long_is_the_limits_business_wherever_the_endpoint_is_named() -> None:
    by_body, by_path = a_call(apis.CHAT_COMPLETIONS, b""), a_call(apis.INVOCATIONS, b"")
    by_body.body_bytes = by_path.body_bytes = LIMIT + 1
    with pytest.raises(BadRequest, match="larger than the limit"):
        Address(LIMIT)(by_body)
    assert Parse(16 * 1024**2)(by_path) is None and by_path.asked is None


def test_a_long_body_is_for_models_of_our_own_only() -> None:
    call = a_call(apis.INVOCATIONS, json.dumps({"messages": HELLO}).encode())
    with pytest.raises(BadRequest, match="for external models"):
        Parse(call.body_bytes - 1)(call)
    assert Parse(call.body_bytes)(call) is None


def test_an_invocation_of_nobody_is_not_looked_for_in_its_body() -> None:
    path = "/serving-endpoints//invocations"
    call = a_call(apis.INVOCATIONS, b'{"model":"churn"}')
    call.head = paths.head("POST", path, paths.target("POST", path), {})
    Address(LIMIT)(call)
    assert call.head.endpoint_name == ""


NAMES = st.sampled_from(
    [
        "model", "messages", "prompt", "input", "stream", "role", "content", "type", "text", "tools", "tool_choice", "system", "name",
        "thinking", "metadata", "output_config", "format", "reasoning", "instructions", "max_tokens", "source", "stop_sequences",
        "function", "tool_use", "id", "user", "input_schema", "cache_control", "summary", "encrypted_content", "arguments", "x",
    ]
)  # fmt: skip
WORDS = st.sampled_from(
    ["user", "assistant", "system", "text", "image", "tool_use", "tool_result", "thinking", "redacted_thinking", "document", "message",
     "function_call", "function_call_output", "reasoning", "input_text", "output_text", "input_image", "input_file", "function", "custom",
     "json_schema", "base64", "auto", "hg1.e30=", "hg1.W10=", "\ud800", ""]
)  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS | st.text(max_size=5)
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=6), max_leaves=20
)
BODIES = st.builds(lambda tree: {"model": "churn", **tree}, st.dictionaries(NAMES, TREES, max_size=6))


@settings(max_examples=100, deadline=None)
@given(
    body=BODIES.map(lambda said: json.dumps(said).encode()) | st.binary(max_size=60),
    api=st.sampled_from(apis.APIS),
    served=st.sampled_from([CHAT, COMPLETIONS, EMBEDDINGS]),
    provider=st.sampled_from(["openai", "anthropic", "cohere"]),
)
def test_whatever_a_body_holds_only_errors_for_the_client_come_of_it(
    body: bytes, api: str, served: str, provider: str
) -> None:
    call = a_call(api, body, served, provider)
    try:
        entered(call)
        choosing.of(call).request(call, NOTHING)
    except HeadgateError as error:
        assert error.http_status == 400


def message(kind: str, role: str = "user") -> Any:
    """A message with one block of that type, and anything in it."""
    blocks = st.builds(lambda tree: {**tree, "type": kind}, st.dictionaries(NAMES, TREES, max_size=5))
    return st.builds(lambda block: {"role": role, "content": [block]}, blocks)


KINDS = ["text", "image", "document", "tool_use", "tool_result", "thinking", "redacted_thinking"]
ITEMS = ["function_call", "function_call_output", "reasoning", "message"]


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_whatever_stands_in_a_block_or_an_item_only_errors_for_the_client_come_of_it(data: st.DataObject) -> None:
    if data.draw(st.booleans()):
        kind, role = data.draw(st.sampled_from(KINDS)), data.draw(st.sampled_from(["user", "assistant", "system"]))
        api, body = apis.MESSAGES, {"messages": data.draw(st.lists(message(kind, role), min_size=1, max_size=3))}
    else:
        item = st.builds(
            lambda tree, kind: {**tree, "type": kind}, st.dictionaries(NAMES, TREES, max_size=5), st.sampled_from(ITEMS)
        )
        api, body = apis.RESPONSES, {"input": data.draw(st.lists(item, min_size=1, max_size=4))}
    call = a_call(api, json.dumps({"model": "churn", **body}).encode(), CHAT, "cohere")
    try:
        entered(call)
        choosing.of(call).request(call, NOTHING)
    except HeadgateError as error:
        assert error.http_status == 400


def test_of_headers_with_one_name_the_last_counts_and_of_a_list_all() -> None:
    fields = [(b"x", b"1"), (b"anthropic-beta", b"a,b"), (b"x", b"2"), (b"anthropic-beta", b"c")]
    assert paths.headers_of(fields) == {b"x": b"2", b"anthropic-beta": b"a,b,c"}
