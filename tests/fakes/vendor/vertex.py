"""Vertex AI's dialect for Gemini, as strict as the real one about fields: those of google-genai's own types. And Google's token server."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs

import jwt
import orjson
import pydantic
from google.genai import types
from tests.fakes.vendor.scene import Heard, Reply, Said, Scene, parts

TOKEN = "ya29.sk-secret"
"""What the token server issues."""
SIGNATURE = "CiQB0e2Kb3xmYWtlIHRob3VnaHQgc2lnbmF0dXJl"
SSE = {"content-type": "text/event-stream"}
_STATUS = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ABORTED",
    429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}  # fmt: skip
_FINISH = {"stop": "STOP", "tool_calls": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}
_FIELDS = frozenset(
    ["contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings", "labels", "cachedContent"]
)  # fmt: skip


class Refused(Exception):
    """What the API says to a request it does not like."""


class Vertex:
    name = "google-cloud-vertex-ai"

    def claims(self, heard: Heard) -> bool:
        return "/projects/" in heard.route and ":" in heard.route.rpartition("/")[2]

    def reply(self, heard: Heard, scene: Scene) -> Reply:
        if heard.headers.get("authorization") != f"Bearer {TOKEN}":
            return self.refusal(401, "Request had invalid authentication credentials.")
        verb = heard.route.rpartition(":")[2]
        body = camel(heard.json)
        try:
            if verb in ("predict", "embedContent", "batchEmbedContents"):
                return _json(_embedded(verb, body, scene))
            check(body)
        except (Refused, pydantic.ValidationError) as refused:
            return self.refusal(400, str(refused))
        if verb == "generateContent":
            return _json(whole(body, scene))
        if verb != "streamGenerateContent" or not heard.path.endswith("?alt=sse"):
            return self.refusal(404, f"no method {heard.path}")
        return Reply(
            tuple(b"data: " + orjson.dumps(said) + b"\r\n\r\n" for said in responses(body, scene)), headers=SSE
        )

    def refusal(self, status: int, message: str) -> Reply:
        error = {"code": status, "message": message, "status": _STATUS.get(status, "UNKNOWN")}
        return Reply((orjson.dumps({"error": error}, option=orjson.OPT_INDENT_2),), status)


class GoogleTokens:
    """`/token`: issues a token for an assertion that `public_key` proves; without one, for any that says what it must."""

    name = "google-tokens"

    def __init__(self, public_key: str | None = None, audience: str | None = None) -> None:
        self._public_key = public_key
        self._audience = audience

    def claims(self, heard: Heard) -> bool:
        return heard.route.endswith("/token")

    def reply(self, heard: Heard, scene: Scene) -> Reply:
        form = {key: values[0] for key, values in parse_qs(heard.body.decode()).items()}
        if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            return self.refusal(400, "unsupported_grant_type")
        audience = self._audience or f"http://{heard.headers['host']}{heard.route}"
        try:
            options = {"verify_iat": False, "verify_exp": False, "verify_signature": self._public_key is not None}
            claims = jwt.decode(form["assertion"], self._public_key or "", ["RS256"], options, audience=audience)  # type: ignore[arg-type]
            if claims["aud"] != audience:
                return self.refusal(400, "Invalid JWT: aud.")
        except jwt.PyJWTError:
            return self.refusal(400, "Invalid JWT Signature.")
        if claims["exp"] - claims["iat"] > 3600 or "cloud-platform" not in claims["scope"] or not claims["iss"]:
            return self.refusal(400, "Invalid JWT: iat, exp, scope.")
        return _json({"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"})

    def refusal(self, status: int, message: str) -> Reply:
        return Reply((orjson.dumps({"error": "invalid_grant", "error_description": message}),), status)


def camel(value: Any) -> Any:
    """With names in one spelling: Google takes both, and its SDK sends both."""
    if isinstance(value, dict):
        return {re.sub("_([a-z])", lambda found: found[1].upper(), name): camel(inner) for name, inner in value.items()}
    return [camel(inner) for inner in value] if isinstance(value, list) else value


def check(body: Mapping[str, Any]) -> None:
    """Raises for what Vertex AI would not take."""
    for name in body:
        if name not in _FIELDS:
            raise Refused(f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.')
    contents = [types.Content.model_validate(content) for content in body["contents"]]
    if "systemInstruction" in body:
        types.Content.model_validate(body["systemInstruction"])
    for tool in body.get("tools", ()):
        types.Tool.model_validate(tool)
    types.ToolConfig.model_validate(body.get("toolConfig", {}))
    types.GenerationConfig.model_validate(body.get("generationConfig", {}))
    for setting in body.get("safetySettings", ()):
        types.SafetySetting.model_validate(setting)
    waiting = 0
    for content in contents:
        if content.role not in ("user", "model") or not content.parts:
            raise Refused("Please use a valid role: user, model; and at least one parts field.")
        results = sum(1 for part in content.parts if part.function_response)
        if results != waiting:
            raise Refused("The number of function response parts must equal that of the function call parts before.")
        waiting = sum(1 for part in content.parts if part.function_call)


def whole(body: Mapping[str, Any], scene: Scene) -> dict[str, Any]:
    """One response with everything."""
    candidates = []
    for index, said in enumerate(_choices(body, scene)):
        candidate = {
            "content": {"role": "model", "parts": list(_parts(body, said))},
            "finishReason": _FINISH[said.finish],
            "avgLogprobs": -0.25,
        }
        if body.get("generationConfig", {}).get("responseLogprobs"):
            candidate["logprobsResult"] = _logprobs(parts(said.text))
        candidates.append({"index": index, **candidate} if index else candidate)
    return {"candidates": candidates, "usageMetadata": usage(scene), **_head(scene)}


def responses(body: Mapping[str, Any], scene: Scene) -> Iterator[dict[str, Any]]:
    """A streamed answer: a response for each part, the reason to finish with the last; the prompt counted in all of them."""
    choices = _choices(body, scene)
    early = {"promptTokenCount": scene.usage.prompt_tokens, "trafficType": "ON_DEMAND"}
    for index, said in enumerate(choices):
        pieces = list(_pieces(body, said))
        for number, part in enumerate(pieces):
            last = number == len(pieces) - 1
            candidate: dict[str, Any] = {"content": {"role": "model", "parts": [part]}}
            if body.get("generationConfig", {}).get("responseLogprobs") and "text" in part and not part.get("thought"):
                candidate["logprobsResult"] = _logprobs([part["text"]])
            if index:
                candidate["index"] = index
            if last:
                candidate["finishReason"] = _FINISH[said.finish]
            used = usage(scene) if last and index == len(choices) - 1 else early
            yield {"candidates": [candidate], "usageMetadata": used, **_head(scene)}


def usage(scene: Scene) -> dict[str, Any]:
    """Thoughts beside the answer."""
    used = scene.usage
    said = {
        "promptTokenCount": used.prompt_tokens,
        "candidatesTokenCount": used.completion_tokens - used.reasoning_tokens,
        "totalTokenCount": used.total_tokens,
        "trafficType": "ON_DEMAND",
    }
    if used.cached_tokens:
        said["cachedContentTokenCount"] = used.cached_tokens
    if used.reasoning_tokens:
        said["thoughtsTokenCount"] = used.reasoning_tokens
    return said


def _head(scene: Scene) -> dict[str, Any]:
    return {
        "modelVersion": scene.model,
        "createTime": "2026-01-01T00:00:00.000000Z",
        "responseId": "q1hvaZSXB4mymecP6b3oqAQ",
    }


def _choices(body: Mapping[str, Any], scene: Scene) -> tuple[Said, ...]:
    return scene.choices[: body.get("generationConfig", {}).get("candidateCount") or 1]


def _parts(body: Mapping[str, Any], said: Said) -> Iterator[dict[str, Any]]:
    """Thoughts where they were asked for; a signature on the first call, or on the text that thoughts led to."""
    thinks = body.get("generationConfig", {}).get("thinkingConfig", {}).get("includeThoughts")
    if said.reasoning and thinks:
        yield {"text": said.reasoning, "thought": True}
    if said.text:
        yield {"text": said.text, "thoughtSignature": SIGNATURE} if said.reasoning else {"text": said.text}
    for number, call in enumerate(said.tool_calls):
        part = {"functionCall": {"name": call.name, "args": orjson.loads(call.arguments)}}
        yield part if number else {**part, "thoughtSignature": SIGNATURE}


def _pieces(body: Mapping[str, Any], said: Said) -> Iterator[dict[str, Any]]:
    """Texts a word at a time, the signature on an empty one at the end; calls whole."""
    for part in _parts(body, said):
        if "text" not in part:
            yield part
            continue
        thought = {"thought": True} if part.get("thought") else {}
        yield from ({"text": piece, **thought} for piece in parts(part["text"]))
        if part.get("thoughtSignature"):
            yield {"text": "", "thoughtSignature": part["thoughtSignature"]}


def _logprobs(tokens: list[str]) -> dict[str, Any]:
    chosen = [{"token": token, "tokenId": 7, "logProbability": -0.25} for token in tokens]
    return {"chosenCandidates": chosen, "topCandidates": [{"candidates": [one]} for one in chosen]}


def _embedded(verb: str, body: Mapping[str, Any], scene: Scene) -> dict[str, Any]:
    """The vectors as each of the three methods has them. `predict` counts each text, the others all."""
    used = scene.usage.prompt_tokens
    if verb == "predict":
        _known(body, {"instances", "parameters"})
        found = scene.embeddings[: len(body["instances"])]
        counts = [used - used // len(found) * (len(found) - 1), *([used // len(found)] * (len(found) - 1))]
        predictions = []
        for instance, vector, count in zip(body["instances"], found, counts, strict=True):
            _known(instance, {"content", "taskType", "title"})
            statistics = {"token_count": count, "truncated": False}
            predictions.append({"embeddings": {"values": list(vector), "statistics": statistics}})
        return {"predictions": predictions, "metadata": {"billableCharacterCount": 9}}
    requests = [body] if verb == "embedContent" else body["requests"]
    for request in requests:
        _known(request, {"content", "embedContentConfig"})
        types.Content.model_validate(request["content"])
        _known(request.get("embedContentConfig", {}), {"taskType", "title", "outputDimensionality", "autoTruncate"})
    found = scene.embeddings[: len(requests)]
    counted = {"usageMetadata": {"promptTokenCount": used, "totalTokenCount": used}}
    if verb == "embedContent":
        return {"embedding": {"values": list(found[0])}, **counted}
    return {"embeddings": [{"values": list(vector)} for vector in found], **counted}


def _known(said: Mapping[str, Any], names: set[str]) -> None:
    for name in said:
        if name not in names:
            raise Refused(f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.')


def _json(said: Any) -> Reply:
    return Reply((orjson.dumps(said),))
