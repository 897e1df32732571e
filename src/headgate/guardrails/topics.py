"""Whether a request keeps to the endpoint's topics: nearness of its embedding to theirs. Asked by the guard; knows no network.

The port is one function, `embed`: the body of an embeddings request in, the body of its answer out. What it needs is little enough for plain
Python: a few vectors per request.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from headgate.clock import within
from headgate.guardrails.answers import prediction
from headgate.guardrails.safety import Ask

MOST_CHARACTERS = 2000
"""Of a text that are embedded: more dilute what it is about, and small models read no more."""


class EmbeddingsFailed(Exception):
    """There is no verdict; the message says why, without the text."""


@dataclass(frozen=True, slots=True)
class Nearness:
    """The nearest topic and how near it is (cosine, -1 to 1)."""

    topic: str
    similarity: float


class Topics:
    """Topics of one endpoint. Their vectors are fetched with the first request and kept as long as this object: make a new one when topics,
    model or endpoint change."""

    def __init__(self, topics: Sequence[str], embed: Ask, *, threshold: float = 0.3, timeout_s: float = 5.0) -> None:
        self._topics = tuple(topics)
        self._embed = embed
        self._threshold = threshold
        self._timeout_s = timeout_s
        self._vectors: list[list[float]] | None = None

    def allows(self, nearness: Nearness) -> bool:
        """Whether that is near enough."""
        return nearness.similarity >= self._threshold

    async def nearest(self, text: str) -> Nearness:
        """Raises EmbeddingsFailed."""
        # Of a long text the end, where the question stands.
        wanted = [text[-MOST_CHARACTERS:]]
        if self._vectors is None:
            vector, *topics = await self._embedded([*wanted, *self._topics])
            self._vectors = topics
        else:
            (vector,) = await self._embedded(wanted)
        near = [_dot(vector, topic) for topic in self._vectors]
        best = max(range(len(near)), key=near.__getitem__)
        return Nearness(self._topics[best], near[best])

    async def _embedded(self, texts: list[str]) -> list[list[float]]:
        try:
            body = await within(self._timeout_s, self._embed(orjson.dumps({"input": texts})))
        except asyncio.TimeoutError as error:
            raise EmbeddingsFailed(f"no answer within {self._timeout_s:g} s") from error
        except Exception as error:
            raise EmbeddingsFailed(type(error).__name__) from error
        return vectors(body, len(texts))


def vectors(body: bytes, count: int) -> list[list[float]]:
    """The embeddings of an answer in order of their index, or a model's predictions, each of length 1. Raises EmbeddingsFailed when they are
    not what was asked for."""
    try:
        tree = prediction(orjson.loads(body))
        rows = tree if isinstance(tree, list) else [one["embedding"] for one in sorted(tree["data"], key=_index)]
        found = [_unit([float(value) for value in row]) for row in rows]
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise EmbeddingsFailed("the answer holds no embeddings") from error
    if len(found) != count or len({len(vector) for vector in found}) != 1:
        raise EmbeddingsFailed(f"{len(found)} embeddings came for {count} texts")
    return found


def _index(row: Any) -> int:
    return int(row["index"])


def _unit(vector: list[float]) -> list[float]:
    length = math.sqrt(_dot(vector, vector))
    if not length or not math.isfinite(length):
        raise ValueError("no direction")
    return [value / length for value in vector]


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    if len(one) != len(other):
        raise EmbeddingsFailed("embeddings of two lengths came")
    return sum(a * b for a, b in zip(one, other, strict=True))
