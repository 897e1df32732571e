"""Bedrock's adapter: one per maker of models, because what Converse can do differs by maker."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Mapping
from urllib.parse import quote

import orjson

from headgate.errors import InvalidParameterValue
from headgate.providers import capabilities, failures
from headgate.providers.bedrock import answering, asking, embedding, instance_profile, sigv4
from headgate.providers.bedrock.families import FAMILIES
from headgate.providers.port import (
    COMPLETIONS,
    EMBEDDINGS,
    Answer,
    Credential,
    Outgoing,
    Request,
    StreamReader,
    Target,
    VendorFailure,
)
from headgate.providers.translation import middle

_REGION = re.compile(r"[a-z]{2,}(-[a-z0-9]+){1,4}")
VENDOR = answering.VENDOR


class Bedrock:
    """See `port.Provider`. `family`: the `bedrock_provider`. `now_s` and `new_id` date and name answers, which AWS does not."""

    def __init__(
        self,
        family: str,
        now_s: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: f"chatcmpl-{uuid.uuid4().hex}",
    ) -> None:
        self._family = FAMILIES[family]
        self.name = f"amazon-bedrock/{family}"
        self.capabilities = self._family.capabilities
        self._now_s = now_s
        self._new_id = new_id

    def prepare(self, target: Target, request: Request, credential: Credential | None, now_s: float) -> Outgoing:
        """A signed request. Raises InvalidParameterValue naming what the maker's models cannot do. The URL must be sent as it stands: it is signed."""
        label = f"{VENDOR} with models of {self._family.name}"
        if target.task not in self.capabilities.tasks:
            raise InvalidParameterValue(
                f"{label} does not support {target.task}; it does {', '.join(sorted(self.capabilities.tasks))}."
            )
        body = middle.parsed(request)
        capabilities.require(self.capabilities, label, body)
        if target.task == EMBEDDINGS:
            verb, asked = "invoke", embedding.request(self._family, target.model, body)
        else:
            chat = asking.as_chat(body) if target.task == COMPLETIONS else body
            verb = "converse-stream" if request.stream else "converse"
            asked = asking.converse_request(self._family, chat)
        accept = b"application/vnd.amazon.eventstream" if verb == "converse-stream" else b"application/json"
        headers = ((b"content-type", b"application/json"), (b"accept", accept))
        outgoing = Outgoing(
            "POST", f"{_base(target)}/model/{_quoted(target.model)}/{verb}", headers, orjson.dumps(asked)
        )
        return sigv4.signed(outgoing, _keys(target, credential), target.config["aws_region"], now_s)

    def answer(self, target: Target, body: bytes) -> Answer:
        """AWS's answer to Converse or InvokeModel."""
        if target.task == EMBEDDINGS:
            return embedding.answer(self._family, target.model, body)
        return answering.completion(middle.answered(VENDOR, body), self._head(target))

    def stream(self, target: Target, include_usage: bool) -> StreamReader:
        return answering.Reader(self._head(target), include_usage)

    def failure(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> VendorFailure:
        """By the name of the error, which says more than its status."""
        name = headers.get(b"x-amzn-errortype", b"").decode("latin-1").partition(":")[0].rpartition("#")[2]
        meant = answering.STATUS.get(name, {408: 504, 424: 503}.get(status, status))
        return failures.failure(VENDOR, meant, headers, failures.message_of(body))

    def token_request(self, target: Target, now_s: float) -> Outgoing | None:
        """The first of the requests to the machine's metadata service where an instance profile is configured: walk on with `walk`."""
        walk = self.walk(target)
        return walk.first() if walk is not None else None

    def credential(self, body: bytes, now_s: float) -> Credential:
        """The last answer of the metadata service."""
        return instance_profile.credential(body)

    def walk(self, target: Target) -> instance_profile.Walk | None:
        """How to fetch the instance profile's credentials, None where keys are configured."""
        arn = target.config.get("instance_profile_arn")
        return instance_profile.Walk(arn) if arn else None

    def _head(self, target: Target) -> middle.Head:
        return middle.Head(self._new_id(), target.model, int(self._now_s()), target.task)


def _base(target: Target) -> str:
    """The region's own address, or `aws_endpoint_url` (a private endpoint) in its place."""
    region = target.config.get("aws_region", "")
    if not _REGION.fullmatch(region):
        raise InvalidParameterValue(f"aws_region {region!r} is not the name of a region, as us-east-1 is.")
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return (target.config.get("aws_endpoint_url") or f"https://bedrock-runtime.{region}.{domain}").rstrip("/")


def _quoted(model: str) -> str:
    """A model's id or ARN as one part of a path."""
    if model in ("", ".", ".."):
        raise InvalidParameterValue(f"{model!r} is not the id of a model on Amazon Bedrock.")
    return quote(model, safe="")


def _keys(target: Target, credential: Credential | None) -> sigv4.Keys:
    config = target.config
    if credential is not None:
        return instance_profile.keys(credential)
    if config.get("uc_service_credential_name"):
        raise InvalidParameterValue(
            "uc_service_credential_name is not supported: give aws_access_key_id and aws_secret_access_key, or instance_profile_arn."
        )
    if not config.get("aws_access_key_id") or not config.get("aws_secret_access_key"):
        raise InvalidParameterValue(
            "Amazon Bedrock needs aws_access_key_id and aws_secret_access_key, or instance_profile_arn."
        )
    return sigv4.Keys(config["aws_access_key_id"], config["aws_secret_access_key"], config.get("aws_session_token", ""))
