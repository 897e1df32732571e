"""What is Bedrock's alone in its adapters; what all vendors share is in the conformance suite."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from tests.fakes.vendor import bedrock as fake
from tests.fakes.vendor.event_stream import message

from headgate.errors import InvalidParameterValue
from headgate.providers.bedrock.vendor import Bedrock
from headgate.providers.port import CHAT, COMPLETIONS, EMBEDDINGS, BadAnswer, Credential, Outgoing, Request, Target

CONFIG = {
    "aws_region": "eu-west-1",
    "bedrock_provider": "anthropic",
    "aws_access_key_id": fake.ACCESS_KEY,
    "aws_secret_access_key": fake.SECRET_KEY,
}
HELLO = {"role": "user", "content": "Hello?"}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
CALLED = {
    "role": "assistant",
    "tool_calls": [{"id": "t1", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
}
CACHE = {"type": "ephemeral", "ttl": "1h"}
NOW_S = 1_790_000_000.0


def vendor(family: str = "anthropic") -> Bedrock:
    return Bedrock(family, now_s=lambda: NOW_S, new_id=lambda: "id-1")


def target(task: str = CHAT, model: str = "a.b-v1:0", **config: str) -> Target:
    return Target("amazon-bedrock", model, task, {**CONFIG, **config})


def prepared(body: dict[str, Any], family: str = "anthropic", at: Target | None = None) -> Outgoing:
    return vendor(family).prepare(at or target(), Request(body), None, NOW_S)


def asked(family: str = "anthropic", **body: Any) -> Any:
    """What is sent, judged by botocore's model of the API."""
    said = orjson.loads(prepared({"messages": [HELLO], **body}, family).body)
    assert fake.complaint(said, "m") == ""
    return said


def refusal(family: str = "anthropic", **body: Any) -> str:
    with pytest.raises(InvalidParameterValue) as refused:
        prepared({"messages": [HELLO], **body}, family)
    return refused.value.message


@pytest.mark.parametrize(
    ("config", "url"),
    [
        ({}, "https://bedrock-runtime.eu-west-1.amazonaws.com/model/a.b-v1%3A0/converse"),
        ({"aws_region": "cn-north-1"}, "https://bedrock-runtime.cn-north-1.amazonaws.com.cn/model/a.b-v1%3A0/converse"),
        ({"aws_region": "us-gov-west-1"}, "https://bedrock-runtime.us-gov-west-1.amazonaws.com/model/a.b-v1%3A0/converse"),
        ({"aws_endpoint_url": "https://vpce-1.example/"}, "https://vpce-1.example/model/a.b-v1%3A0/converse"),
    ],
)  # fmt: skip
def test_where_a_region_is(config: dict[str, str], url: str):
    assert prepared({"messages": [HELLO]}, at=target(**config)).url == url


def test_a_model_by_arn_is_one_part_of_the_path():
    at = target(model="arn:aws:bedrock:eu-west-1:1:inference-profile/eu.x")
    assert (
        "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Ainference-profile%2Feu.x/converse"
        in prepared({"messages": [HELLO]}, at=at).url
    )


@pytest.mark.parametrize("region", ["", "evil.example/x", "eu-west-1.evil.example", "EU", "a b", "eu-west-1#"])
def test_a_region_that_is_none_leads_nowhere(region: str):
    with pytest.raises(InvalidParameterValue, match="aws_region"):
        prepared({"messages": [HELLO]}, at=target(aws_region=region))


@pytest.mark.parametrize("model", [".", "..", ""])
def test_a_model_that_would_change_the_path_is_none(model: str):
    with pytest.raises(InvalidParameterValue, match="model"):
        prepared({"messages": [HELLO]}, at=target(model=model))


@pytest.mark.parametrize(
    ("config", "named"), [({"aws_secret_access_key": ""}, "aws_secret_access_key"), ({"uc_service_credential_name": "c"}, "uc_service_credential_name")]
)  # fmt: skip
def test_without_keys_the_owner_is_told_what_to_give(config: dict[str, str], named: str):
    with pytest.raises(InvalidParameterValue, match=named):
        prepared({"messages": [HELLO]}, at=target(**config))


def test_an_instance_profile_is_fetched_from_the_machines_metadata_in_steps():
    arn = "arn:aws:iam::1:instance-profile/serving"
    at = target(aws_access_key_id="", instance_profile_arn=arn)
    walk = vendor().walk(at)
    assert walk is not None and vendor().walk(target()) is None and vendor().token_request(target(), 0.0) is None
    step: Outgoing | Credential = walk.first()
    assert step == vendor().token_request(at, 0.0)
    answers = [
        b"session-1",
        orjson.dumps({"Code": "Success", "InstanceProfileArn": arn}),
        b"the-role",
        orjson.dumps(
            {
                "AccessKeyId": "ASIA1",
                "SecretAccessKey": "s3cret",
                "Token": "t0ken",
                "Expiration": "2026-09-21T14:13:20Z",
            }
        ),
    ]
    asked_for = []
    for body in answers:
        assert isinstance(step, Outgoing)
        asked_for.append((step.method, step.url.removeprefix("http://169.254.169.254/latest/")))
        if len(asked_for) > 1:
            assert step.headers == ((b"x-aws-ec2-metadata-token", b"session-1"),)
        step = walk.next(body)
    assert asked_for == [
        ("PUT", "api/token"),
        ("GET", "meta-data/iam/info"),
        ("GET", "meta-data/iam/security-credentials/"),
        ("GET", "meta-data/iam/security-credentials/the-role"),
    ]
    assert isinstance(step, Credential) and step.expires_at_s == NOW_S - 300 and "s3cret" not in repr(step)
    assert step == vendor().credential(answers[-1], 0.0)
    headers = dict(vendor().prepare(at, Request({"messages": [HELLO]}), step, NOW_S).headers)
    assert headers[b"x-amz-security-token"] == b"t0ken" and b"Credential=ASIA1/" in headers[b"authorization"]


@pytest.mark.parametrize(
    "answers",
    [
        [b"s", b"{}"],
        [b"s", b"[]"],
        [b"s", b"<html>"],
        [b"s", orjson.dumps({"InstanceProfileArn": "arn:other"})],
        [b"s", orjson.dumps({"InstanceProfileArn": "arn:p"}), b""],
        [b"s", orjson.dumps({"InstanceProfileArn": "arn:p"}), b"../../x"],
        [b"s", orjson.dumps({"InstanceProfileArn": "arn:p"}), b"role", b'{"Code":"Failed"}'],
        [b"s", orjson.dumps({"InstanceProfileArn": "arn:p"}), b"role", b'{"AccessKeyId":"a","SecretAccessKey":"b","Token":"c","Expiration":"soon"}'],
    ],
)  # fmt: skip
def test_metadata_that_does_not_fit_ends_the_walk(answers: list[bytes]):
    walk = vendor().walk(target(instance_profile_arn="arn:p"))
    assert walk is not None
    with pytest.raises(BadAnswer):
        for body in answers:
            walk.next(body)


def test_marks_of_the_cache_become_points_after_what_they_mark():
    said = asked(
        tools=[{**TOOL, "cache_control": CACHE}],
        messages=[
            {"role": "system", "content": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}]},
            {"role": "user", "content": [{"type": "text", "text": "t", "cache_control": CACHE}]},
            CALLED,
            {"role": "tool", "tool_call_id": "t1", "content": [{"type": "text", "text": "r", "cache_control": CACHE}]},
        ],
    )
    point = {"cachePoint": {"type": "default", "ttl": "1h"}}
    assert said["system"] == [{"text": "s"}, {"cachePoint": {"type": "default"}}]
    assert said["messages"][0]["content"] == [{"text": "t"}, point]
    assert said["messages"][2]["content"] == [{"toolResult": {"toolUseId": "t1", "content": [{"text": "r"}]}}, point]
    assert said["toolConfig"]["tools"][1] == point
    for family in ("cohere", "ai21labs"):
        assert "cache_control" in refusal(
            family, messages=[{"role": "user", "content": [{"type": "text", "text": "t", "cache_control": CACHE}]}]
        )


def test_images_and_documents_are_sent_as_bytes():
    def block(item: dict[str, Any], *more: dict[str, Any]) -> Any:
        return asked(messages=[{"role": "user", "content": [{"type": "text", "text": "?"}, item, *more]}])["messages"][
            0
        ]["content"][1:]

    assert block({"type": "image_url", "image_url": {"url": "data:image/jpg;base64,AAAA"}}) == [
        {"image": {"format": "jpeg", "source": {"bytes": "AAAA"}}}
    ]
    assert block({"type": "image_url", "image_url": {"url": "s3://b/k.PNG"}}) == [
        {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://b/k.PNG"}}}}
    ]
    pdf = {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBE", "filename": "Plan_v1.2.pdf"}}
    found = block(
        pdf, pdf, {"type": "document", "source": {"type": "text", "data": "x"}, "citations": {"enabled": True}}
    )
    assert [one["document"]["name"] for one in found] == ["Plan-v1-2-pdf", "Plan-v1-2-pdf 2", "document"]
    assert found[2]["document"] == {
        "format": "txt",
        "name": "document",
        "source": {"text": "x"},
        "citations": {"enabled": True},
    }


@pytest.mark.parametrize(
    ("item", "named"),
    [
        ({"type": "image_url", "image_url": {"url": "https://x/y.png"}}, "by URL"),
        ({"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AAAA"}}, "png, jpeg, gif and webp"),
        ({"type": "document", "source": {"type": "url", "url": "https://x"}}, "url"),
        ({"type": "file", "file": {"file_data": "data:application/zip;base64,AAAA"}}, "application/zip"),
    ],
)
def test_content_it_cannot_take_is_refused(item: dict[str, Any], named: str):
    assert named in refusal(messages=[{"role": "user", "content": [item]}])


def test_a_tools_result_may_hold_an_image():
    content = [
        {"type": "text", "text": "seen"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ]
    said = asked(tools=[TOOL], messages=[HELLO, CALLED, {"role": "tool", "tool_call_id": "t1", "content": content}])
    assert said["messages"][2]["content"][0]["toolResult"]["content"] == [
        {"text": "seen"},
        {"image": {"format": "png", "source": {"bytes": "AAAA"}}},
    ]


def test_what_converse_has_no_field_for_goes_to_the_model():
    said = asked(
        top_k=5,
        thinking={"type": "enabled", "budget_tokens": 1024},
        reasoning_effort="high",
        extra_params={"anthropic_beta": ["b"], "serviceTier": {"type": "flex"}},
    )
    assert said["additionalModelRequestFields"] == {
        "top_k": 5,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "anthropic_beta": ["b"],
    }
    assert said["outputConfig"] == {"effort": "high"} and said["serviceTier"] == {"type": "flex"}
    assert asked(reasoning_effort="none")["additionalModelRequestFields"] == {"thinking": {"type": "disabled"}}
    nova = asked("amazon", top_k=5, reasoning_effort="low")
    assert nova["additionalModelRequestFields"] == {
        "inferenceConfig": {"topK": 5},
        "reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"},
    }
    command = asked("cohere", top_k=5, seed=7, frequency_penalty=0.5)
    assert command["additionalModelRequestFields"] == {"k": 5, "seed": 7, "frequency_penalty": 0.5}
    assert "additionalModelRequestFields" not in asked("ai21labs")
    assert asked(user="u", metadata={"team": "x"})["requestMetadata"] == {"team": "x", "user": "u"}
    for name in ("inferenceConfig", "toolConfig", "system"):
        assert name in refusal(extra_params={name: {}})
    assert "thinking" in refusal("amazon", thinking={"type": "enabled"})
    assert "xhigh" in refusal("amazon", reasoning_effort="xhigh")


@pytest.mark.parametrize(
    ("choice", "parallel", "config", "fields"),
    [
        ("auto", None, None, None),
        ("required", None, {"any": {}}, None),
        ({"type": "function", "function": {"name": "look"}}, None, {"tool": {"name": "look"}}, None),
        ("required", False, None, {"tool_choice": {"type": "any", "disable_parallel_tool_use": True}}),
    ],
)
def test_the_choice_among_tools(choice: Any, parallel: bool | None, config: Any, fields: Any):
    said = asked(tools=[TOOL], tool_choice=choice, parallel_tool_calls=parallel)
    assert said["toolConfig"].get("toolChoice") == config and said.get("additionalModelRequestFields") == fields


def test_no_tools_are_offered_when_none_may_be_called():
    assert "toolConfig" not in asked(tools=[TOOL], tool_choice="none")
    result = {"role": "tool", "tool_call_id": "t1", "content": "x"}
    assert "none" in refusal(tools=[TOOL], tool_choice="none", messages=[HELLO, CALLED, result])


def test_structured_answers():
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "an_a", "schema": schema}}
    native = asked(response_format=wanted)["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
    assert native["name"] == "an_a" and orjson.loads(native["schema"]) == schema
    assert asked("amazon", response_format=wanted)["toolConfig"]["toolChoice"] == {
        "tool": {"name": "structured_answer"}
    }
    assert "together with tools" in refusal("amazon", response_format=wanted, tools=[TOOL])
    assert "of type object" in refusal(
        "amazon", response_format={"type": "json_schema", "json_schema": {"schema": {"type": "array"}}}
    )
    assert "response_format" in refusal("cohere", response_format=wanted)


def test_a_prompt_is_a_conversation_of_one_message():
    at = target(COMPLETIONS)
    for prompt in ("Say", ["Say"]):
        assert orjson.loads(prepared({"prompt": prompt, "max_tokens": 3}, at=at).body)["messages"] == [
            {"role": "user", "content": [{"text": "Say"}]}
        ]
    for prompt in (["a", "b"], [1, 2], None):
        with pytest.raises(InvalidParameterValue, match="prompt"):
            prepared({"prompt": prompt}, at=at)


def test_what_it_thought_goes_back_to_it_unchanged():
    content = [
        {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "sig"}}},
        {"reasoningContent": {"redactedContent": "AAEC"}},
        {"text": "Let me."},
        {"toolUse": {"toolUseId": "t1", "name": "look", "input": {"a": 1}}},
    ]
    answer = {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": "tool_use",
        "usage": {"inputTokens": 1, "outputTokens": 2},
    }
    shown = orjson.loads(vendor().answer(target(), orjson.dumps(answer)).body)
    assert (shown["id"], shown["created"]) == ("id-1", int(NOW_S))
    result = {"role": "tool", "tool_call_id": "t1", "content": "x"}
    assert (
        asked(tools=[TOOL], messages=[HELLO, shown["choices"][0]["message"], result])["messages"][1]["content"]
        == content
    )


def test_titan_embeds_one_text_and_cohere_a_list_whose_tokens_are_estimated():
    titan = target(EMBEDDINGS, "amazon.titan-embed-text-v2:0")
    sent = prepared({"input": ["word"], "dimensions": 256, "encoding_format": "base64"}, "amazon", titan)
    assert orjson.loads(sent.body) == {"inputText": "word", "dimensions": 256} and sent.url.endswith("/invoke")
    for body, named in (
        ({"input": ["a", "b"]}, "one text"),
        ({"input": [1]}, "texts"),
        ({"input": "a", "instruction": "i"}, "instruction"),
        ({}, "input"),
    ):
        with pytest.raises(InvalidParameterValue, match=named):
            prepared(body, "amazon", titan)
    cohere = target(EMBEDDINGS, "cohere.embed-v4:0")
    sent = prepared(
        {"input": ["ab", "abcdefg"], "dimensions": 512, "extra_params": {"input_type": "search_query"}},
        "cohere",
        cohere,
    )
    assert orjson.loads(sent.body) == {
        "texts": ["ab", "abcdefg"],
        "input_type": "search_query",
        "output_dimension": 512,
    }
    for embeddings in ([[1.0], [2.0]], {"float": [[1.0], [2.0]]}):
        answer = vendor("cohere").answer(cohere, orjson.dumps({"embeddings": embeddings, "texts": ["ab", "abcdefg"]}))
        assert [row["embedding"] for row in orjson.loads(answer.body)["data"]] == [[1.0], [2.0]]
        assert answer.usage is not None and answer.usage.prompt_tokens == 2
    with pytest.raises(BadAnswer):
        vendor("amazon").answer(titan, b'{"embedding": null}')
    with pytest.raises(InvalidParameterValue, match="embeddings"):
        prepared({"input": "x"}, "anthropic", target(EMBEDDINGS))


def event(name: str, said: dict[str, Any]) -> bytes:
    return message({":event-type": name, ":message-type": "event"}, orjson.dumps(said))


@pytest.mark.parametrize(
    ("name", "status"),
    [("throttlingException", 429), ("modelStreamErrorException", 503), ("internalServerException", 500), ("serviceUnavailableException", 503), ("validationException", 400), ("newException", 500)],
)  # fmt: skip
def test_an_exception_in_the_middle_of_a_stream_is_the_last_event(name: str, status: int):
    reader = vendor().stream(target(), True)
    out = reader.feed(
        event("messageStart", {"role": "assistant"})
        + fake.exception(name, "Busy")
        + event("messageStop", {"stopReason": "end_turn"})
    )
    assert reader.failure is not None and reader.failure.status == status and "Busy" in reader.failure.message
    assert b"error_code" in out[-1] and not reader.complete and reader.end() == []


def test_a_stream_that_was_changed_on_its_way_is_a_failure():
    reader = vendor().stream(target(), False)
    whole = bytearray(
        event("messageStart", {"role": "assistant"})
        + event("contentBlockDelta", {"delta": {"text": "Hello"}, "contentBlockIndex": 0})
    )
    whole[-6] ^= 1
    out = reader.feed(bytes(whole))
    assert (
        reader.failure is not None
        and reader.failure.retryable
        and b"Hello" not in b"".join(out)
        and b"checksum" in out[-1]
    )


def test_a_stream_without_its_last_word_on_usage_is_complete_all_the_same():
    reader = vendor().stream(target(), True)
    reader.feed(event("messageStop", {"stopReason": "end_turn"}))
    assert reader.end() == [b"data: [DONE]\n\n"] and reader.complete and reader.usage is None


@pytest.mark.parametrize(
    ("status", "name", "shown"),
    [
        (424, "ModelErrorException", 503), (424, "", 503), (408, "ModelTimeoutException", 504), (429, "ModelNotReadyException", 429),
        (400, "ServiceQuotaExceededException", 429), (403, "ExpiredTokenException", 401), (403, "com.amazon#AccessDeniedException", 403), (400, "ValidationException", 400),
    ],
)  # fmt: skip
def test_errors_mean_what_their_names_say(status: int, name: str, shown: int):
    failure = vendor().failure(
        status, {b"x-amzn-errortype": name.encode() + b":http://x/"}, b'{"message": "AKIA-quoted"}'
    )
    assert failure.status == shown and ("AKIA-quoted" in failure.message) == (shown != 401)
