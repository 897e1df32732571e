"""Clients that asked for embeddings as base64, which OpenAI's own do unasked: numbers of a vendor that has no base64 are packed for them."""

from __future__ import annotations

import base64
import sys
from array import array

import orjson

from headgate.gateway.dialects.identity import Identity

_NUMBERS = (b'"embedding":[', b'"embedding": [')


class _Packed(Identity):
    def answer(self, body: bytes) -> bytes:
        """32-bit floats, little endian, as OpenAI packs them. What the vendor packed itself goes through."""
        if not any(mark in body for mark in _NUMBERS):
            return body
        said = orjson.loads(body)
        for one in said["data"]:
            if isinstance(one["embedding"], list):
                one["embedding"] = _packed(one["embedding"])
        return orjson.dumps(said)


def _packed(numbers: list[float]) -> str:
    vector = array("f", numbers)
    if sys.byteorder == "big":
        vector.byteswap()
    return base64.b64encode(vector).decode()


PACKED = _Packed()
