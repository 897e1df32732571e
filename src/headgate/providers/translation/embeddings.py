"""Embeddings in the middle language: the texts asked for, and vectors as a list. Asked by translating adapters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from headgate.domain.usage import Usage
from headgate.errors import InvalidParameterValue
from headgate.providers.port import Answer


def texts(vendor: str, body: Mapping[str, Any]) -> list[str]:
    """`input` as a list of texts. Raises InvalidParameterValue for tokens, and for what this vendor cannot be told."""
    said = body.get("input")
    found = [said] if isinstance(said, str) else said
    if not isinstance(found, list) or not found or not all(isinstance(text, str) for text in found):
        raise InvalidParameterValue(f"{vendor} embeds texts only: input must be text or a list of texts.")
    for name in ("instruction", "user"):
        if body.get(name):
            raise InvalidParameterValue(f"{vendor} does not support {name}: leave it out.")
    if body.get("encoding_format") not in (None, "float", "base64"):
        raise InvalidParameterValue("encoding_format must be float or base64.")
    return found


def answer(model: str, vectors: Sequence[Any], used: Usage) -> Answer:
    """The vectors as OpenAI lists them: numbers, or base64 of 32-bit floats where the vendor gave that."""
    listed = {
        "object": "list",
        "data": [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)],
        "model": model,
        "usage": {"prompt_tokens": used.prompt_tokens, "total_tokens": used.prompt_tokens},
    }
    return Answer(orjson.dumps(listed), used)
