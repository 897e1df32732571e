"""Embeddings on Bedrock (InvokeModel): Titan takes one text per request, Cohere a list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from headgate.domain.usage import Usage, estimated_tokens
from headgate.errors import InvalidParameterValue
from headgate.providers.bedrock.families import Family
from headgate.providers.port import Answer, BadAnswer
from headgate.providers.translation import middle

_GOVERNED = frozenset({"inputText", "texts", "images", "inputs", "embedding_types", "embeddingTypes"})


def request(family: Family, model: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """What InvokeModel wants. Raises InvalidParameterValue."""
    texts = body.get("input")
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise InvalidParameterValue("Amazon Bedrock embeds texts only: input must be text or a list of texts.")
    if body.get("instruction"):
        raise InvalidParameterValue(
            "Amazon Bedrock does not support instruction; Cohere's models take extra_params.input_type."
        )
    if body.get("encoding_format") not in (None, "float", "base64"):
        raise InvalidParameterValue("encoding_format must be float or base64.")
    dimensions = body.get("dimensions")
    if family.name == "amazon":
        asked = _titan(model, texts, dimensions)
    else:
        asked = {
            "texts": texts,
            "input_type": "search_document",
            **({"output_dimension": dimensions} if dimensions else {}),
        }
    return middle.with_extra(asked, body, _GOVERNED)


def _titan(model: str, texts: list[str], dimensions: Any) -> dict[str, Any]:
    if "nova" in model:
        raise InvalidParameterValue(f"Of Amazon's embedding models Titan's are supported, {model!r} is not.")
    if len(texts) > 1:
        raise InvalidParameterValue("Amazon's Titan embeds one text per request: send each input alone.")
    return {"inputText": texts[0], **({"dimensions": dimensions} if dimensions else {})}


def answer(family: Family, model: str, body: bytes) -> Answer:
    """The vectors as OpenAI lists them. Raises BadAnswer. Cohere's models on Bedrock do not say what was used: estimated from the texts."""
    said = middle.answered("Amazon Bedrock", body)
    try:
        if family.name == "amazon":
            vectors = [said["embedding"]]
            tokens = int(said["inputTextTokenCount"])
        else:
            embeddings = said["embeddings"]
            vectors = embeddings["float"] if isinstance(embeddings, Mapping) else embeddings
            tokens = sum(estimated_tokens(len(text)) for text in said.get("texts") or ())
        rows = [
            {"object": "embedding", "index": index, "embedding": list(vector)} for index, vector in enumerate(vectors)
        ]
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise BadAnswer("Amazon Bedrock answered something other than embeddings.") from error
    used = Usage(tokens, 0)
    listed = {
        "object": "list",
        "data": rows,
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    return Answer(orjson.dumps(listed), used)
