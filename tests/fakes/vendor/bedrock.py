"""Amazon Bedrock's dialect: requests are judged by botocore's own signer and its model of the API, streams are binary events."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any
from urllib.parse import unquote

import botocore.auth
import botocore.loaders
import botocore.model
import botocore.validate
import orjson
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.fakes.vendor.event_stream import message
from tests.fakes.vendor.scene import Heard, Reply, Said, Scene, ToolCall, parts

ACCESS_KEY, SECRET_KEY = "AKIAIOSFODNN7EXAMPLE", "sk-secret"
_ROUTE = re.compile(r"/model/([^/]+)/(converse|converse-stream|invoke)$")
_ERRORS = {
    400: "ValidationException", 401: "UnrecognizedClientException", 403: "AccessDeniedException", 404: "ResourceNotFoundException",
    429: "ThrottlingException", 500: "InternalServerException", 503: "ServiceUnavailableException",
}  # fmt: skip
_STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "content_filtered"}
SIGNATURE = "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl"


class Bedrock:
    name = "amazon-bedrock"

    def claims(self, heard: Heard) -> bool:
        return _ROUTE.search(heard.route) is not None

    def reply(self, heard: Heard, scene: Scene) -> Reply:
        if not is_signed(heard):
            return self.refusal(401, "The request signature we calculated does not match the signature you provided.")
        found = _ROUTE.search(heard.route)
        assert found is not None
        model, verb = unquote(found[1]), found[2]
        if verb == "invoke":
            return _invoke(model, heard.json, scene, self)
        problem = complaint(heard.json, model)
        if problem:
            return self.refusal(400, problem)
        scene = _through_the_tool(heard.json, scene)
        if verb == "converse":
            return _json(whole(scene))
        return Reply(tuple(events(scene)), headers={"content-type": "application/vnd.amazon.eventstream"})

    def refusal(self, status: int, message: str) -> Reply:
        name = _ERRORS.get(status)
        headers = {
            "content-type": "application/json",
            **({"x-amzn-errortype": f"{name}:http://internal.amazon.com/"} if name else {}),
        }
        # AWS has no 401.
        return Reply((orjson.dumps({"message": message}),), 403 if status == 401 else status, headers)


def is_signed(heard: Heard) -> bool:
    """Whether botocore signs this request with the same signature."""
    given = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=([^/]+)/\d{8}/([^/]+)/bedrock/aws4_request, SignedHeaders=([^,]+), Signature=(\w+)",
        heard.headers.get("authorization", ""),
    )
    if given is None or given[1] != ACCESS_KEY or "host" not in given[3].split(";"):
        return False
    names = given[3].split(";")
    request = AWSRequest(
        heard.method,
        f"https://{heard.headers['host']}{heard.path}",
        {name: heard.headers[name] for name in names},
        heard.body,
    )
    request.context["timestamp"] = heard.headers["x-amz-date"]
    signer = botocore.auth.SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "bedrock", given[2])
    said = signer.string_to_sign(request, signer.canonical_request(request))
    return bool(signer.signature(said, request) == given[4])


@cache
def _input_shape() -> Any:
    model = botocore.loaders.Loader().load_service_model("bedrock-runtime", "service-2")
    return botocore.model.ServiceModel(model).operation_model("Converse").input_shape


def complaint(body: Mapping[str, Any], model: str) -> str:
    """What AWS does not like about a Converse request, by botocore's model of it and the order of turns; empty when it likes it."""
    report = botocore.validate.ParamValidator().validate({**body, "modelId": model}, _input_shape())
    if report.has_errors():
        return str(report.generate_report())
    roles = [said["role"] for said in body["messages"]]
    if roles[:1] != ["user"] or any(a == b for a, b in itertools.pairwise(roles)):
        return "A conversation must alternate between user and assistant roles."
    waiting: set[str] = set()
    for said in body["messages"]:
        results = {block["toolResult"]["toolUseId"] for block in said["content"] if "toolResult" in block}
        if results != waiting:
            return "Expected toolResult blocks for the toolUse blocks of the previous turn."
        waiting = {block["toolUse"]["toolUseId"] for block in said["content"] if "toolUse" in block}
        if any(block.get("text") == "" for block in said["content"]):
            return "The text field in the ContentBlock object is blank."
    if "toolConfig" not in body and any("toolUse" in block for said in body["messages"] for block in said["content"]):
        return "The toolConfig field must be defined when using toolUse and toolResult content blocks."
    return ""


def _through_the_tool(body: Mapping[str, Any], scene: Scene) -> Scene:
    """A model that must call one tool says what it has to say by calling it."""
    forced = ((body.get("toolConfig") or {}).get("toolChoice") or {}).get("tool")
    said = scene.choices[0]
    if forced is None or said.tool_calls:
        return scene
    call = ToolCall("tooluse_1", forced["name"], said.text)
    return dataclasses.replace(scene, choices=(Said(tool_calls=(call,), finish="tool_calls"),))


def whole(scene: Scene) -> dict[str, Any]:
    """A whole answer to Converse."""
    said = scene.choices[0]
    content = list(_content(said))
    return {
        "output": {"message": {"role": "assistant", "content": content}}, "stopReason": _STOPS[said.finish], "usage": _usage(scene),
        "metrics": {"latencyMs": 551},
    }  # fmt: skip


def _content(said: Said) -> Iterator[dict[str, Any]]:
    if said.reasoning:
        yield {"reasoningContent": {"reasoningText": {"text": said.reasoning, "signature": SIGNATURE}}}
    if said.text:
        yield {"text": said.text}
    for call in said.tool_calls:
        yield {"toolUse": {"toolUseId": call.id, "name": call.name, "input": orjson.loads(call.arguments)}}


def _usage(scene: Scene) -> dict[str, Any]:
    used = scene.usage
    return {
        "inputTokens": used.prompt_tokens - used.cached_tokens - used.cache_creation_tokens, "outputTokens": used.completion_tokens,
        "totalTokens": used.total_tokens, "cacheReadInputTokens": used.cached_tokens, "cacheWriteInputTokens": used.cache_creation_tokens,
    }  # fmt: skip


def events(scene: Scene) -> Iterator[bytes]:
    """A streamed answer."""
    said = scene.choices[0]
    yield _event("messageStart", {"role": "assistant"})
    for index, block in enumerate(_content(said)):
        yield from _block_events(index, block)
    yield _event("messageStop", {"stopReason": _STOPS[said.finish]})
    yield _event("metadata", {"usage": _usage(scene), "metrics": {"latencyMs": 551}})


def _block_events(index: int, block: Mapping[str, Any]) -> Iterator[bytes]:
    deltas: list[dict[str, Any]]
    if "toolUse" in block:
        use = block["toolUse"]
        start = {"toolUse": {"toolUseId": use["toolUseId"], "name": use["name"]}}
        yield _event("contentBlockStart", {"start": start, "contentBlockIndex": index})
        text = orjson.dumps(use["input"]).decode() if use["input"] else ""
        deltas = [{"toolUse": {"input": text[at : at + 6]}} for at in range(0, len(text), 6)]
    elif "text" in block:
        deltas = [{"text": part} for part in parts(block["text"])]
    else:
        thought = block["reasoningContent"]["reasoningText"]
        deltas = [{"reasoningContent": {"text": part}} for part in parts(thought["text"])]
        deltas.append({"reasoningContent": {"signature": thought["signature"]}})
    for delta in deltas:
        yield _event("contentBlockDelta", {"delta": delta, "contentBlockIndex": index, "p": "abcdefgh"})
    yield _event("contentBlockStop", {"contentBlockIndex": index})


def _event(name: str, said: Mapping[str, Any]) -> bytes:
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return message(headers, orjson.dumps(said))


def exception(name: str, text: str) -> bytes:
    """An event that says that something went wrong in the middle."""
    headers = {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}
    return message(headers, orjson.dumps({"message": text}))


def _invoke(model: str, body: Mapping[str, Any], scene: Scene, bedrock: Bedrock) -> Reply:
    if model.startswith("amazon.titan-embed"):
        if set(body) - {"inputText", "dimensions", "normalize", "embeddingTypes"} or not isinstance(
            body.get("inputText"), str
        ):
            return bedrock.refusal(400, "Malformed input request, please reformat your input and try again.")
        return _json({"embedding": scene.embeddings[0], "inputTextTokenCount": scene.usage.prompt_tokens})
    if set(body) - {"texts", "input_type", "truncate", "embedding_types", "output_dimension"} or not body.get(
        "input_type"
    ):
        return bedrock.refusal(400, "Malformed input request, please reformat your input and try again.")
    said = {
        "id": "c1",
        "texts": body["texts"],
        "response_type": "embeddings_floats",
        "embeddings": scene.embeddings[: len(body["texts"])],
    }
    return _json(said)


def _json(said: Any) -> Reply:
    return Reply((orjson.dumps(said),))
