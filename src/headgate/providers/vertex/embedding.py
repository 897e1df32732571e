"""Embeddings on Vertex AI: `predict` of the text models, `embedContent` and `batchEmbedContents` of Gemini's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headgate.domain.usage import Usage
from headgate.errors import InvalidParameterValue
from headgate.providers import capabilities
from headgate.providers.port import Answer, BadAnswer
from headgate.providers.translation import embeddings
from headgate.providers.vertex.asking import Asked
from headgate.providers.vertex.refusing import VENDOR

_OF_EACH_TEXT = {"task_type": "task_type", "taskType": "task_type", "title": "title"}
_OF_ALL = {"auto_truncate": "autoTruncate", "autoTruncate": "autoTruncate"}


def request(model: str, body: Mapping[str, Any]) -> Asked:
    """Which method, and what to send it. `extra_params`: `task_type`, `title`, `auto_truncate`."""
    texts = embeddings.texts(VENDOR, body)
    each, every = _parameters(body)
    if body.get("dimensions") is not None:
        every["outputDimensionality"] = body["dimensions"]
    if not _is_geminis(model):
        asked: dict[str, Any] = {"instances": [{"content": text, **each} for text in texts]}
        return Asked("predict", {**asked, "parameters": every} if every else asked)
    if "task_type" in each:
        each["taskType"] = each.pop("task_type")
    config = {"embedContentConfig": {**each, **every}} if each or every else {}
    asked_each = [{"content": {"role": "user", "parts": [{"text": text}]}, **config} for text in texts]
    # Both are younger than v1.
    if len(texts) == 1:
        return Asked("embedContent", asked_each[0], "v1beta1")
    return Asked("batchEmbedContents", {"requests": asked_each}, "v1beta1")


def _parameters(body: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    each: dict[str, Any] = {}
    every: dict[str, Any] = {}
    for name, value in capabilities.extra_params(body.get("extra_params"), body).items():
        if name in _OF_EACH_TEXT:
            each[_OF_EACH_TEXT[name]] = value
        elif name in _OF_ALL:
            every[_OF_ALL[name]] = value
        else:
            raise InvalidParameterValue(
                f"extra_params.{name} is unknown: {VENDOR} takes task_type, title and auto_truncate."
            )
    return each, every


def _is_geminis(model: str) -> bool:
    return "gemini" in model.rpartition("/")[2]


def answer(model: str, said: Mapping[str, Any]) -> Answer:
    """The vectors, in whichever of the three shapes. Raises BadAnswer."""
    try:
        if "predictions" in said:
            found = [prediction["embeddings"] for prediction in said["predictions"]]
        else:
            found = [said["embedding"]] if "embedding" in said else said["embeddings"]
        vectors = [one["values"] for one in found]
        counted = (said.get("usageMetadata") or {}).get("promptTokenCount")
        tokens = counted if counted is not None else sum(_tokens(one) for one in found)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise BadAnswer(f"{VENDOR} answered with embeddings that cannot be read.") from error
    return embeddings.answer(model, vectors, Usage(int(tokens), 0))


def _tokens(one: Mapping[str, Any]) -> float:
    statistics = one.get("statistics") or {}
    return statistics.get("token_count") or statistics.get("tokenCount") or 0
