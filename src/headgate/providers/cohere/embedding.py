"""Embeddings of Cohere's v2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headgate.domain.usage import Usage
from headgate.errors import InvalidParameterValue
from headgate.providers.cohere.asking import VENDOR
from headgate.providers.port import Answer, BadAnswer
from headgate.providers.translation import embeddings, middle

INPUT_TYPE = "search_document"
"""Where the client says nothing: what is put into an index. Queries say `extra_params.input_type`."""
MOST_TEXTS = 96
_GOVERNED = frozenset({"texts", "images", "inputs", "embedding_types"})


def request(model: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The request in Cohere's dialect."""
    texts = embeddings.texts(VENDOR, body)
    if len(texts) > MOST_TEXTS:
        raise InvalidParameterValue(f"{VENDOR} embeds at most {MOST_TEXTS} texts per request, not {len(texts)}.")
    kind = "base64" if body.get("encoding_format") == "base64" else "float"
    asked: dict[str, Any] = {"model": model, "texts": texts, "input_type": INPUT_TYPE, "embedding_types": [kind]}
    if body.get("dimensions") is not None:
        asked["output_dimension"] = body["dimensions"]
    return middle.with_extra(asked, body, _GOVERNED)


def answer(model: str, said: Mapping[str, Any]) -> Answer:
    """The vectors. Raises BadAnswer."""
    try:
        by_kind, meta = said["embeddings"], said.get("meta") or {}
        vectors = by_kind["float"] if by_kind.get("float") is not None else by_kind["base64"]
        counted = meta.get("billed_units") or meta.get("tokens") or {}
        used = Usage(int(counted.get("input_tokens") or 0), 0)
        return embeddings.answer(model, vectors, used)
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise BadAnswer(f"{VENDOR} answered with embeddings that cannot be read.") from error
