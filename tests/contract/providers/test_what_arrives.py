"""What a scene does not show: log probabilities come back from every vendor that has them, images and stops reach it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from tests.contract.providers import reading
from tests.contract.providers.cases import CASES, PIXEL
from tests.contract.providers.rows import Row
from tests.contract.providers.test_conformance import ROWS, every_row, prepare, reply

from headgate.providers.port import CHAT

WORDS = "Hello, wide world."


def _probable(choices: list[dict[str, Any]]) -> tuple[str, set[float]]:
    """The tokens joined, and how probable each was."""
    tokens = [token for choice in choices for token in (choice.get("logprobs") or {}).get("content") or ()]
    assert all(bytes(token["bytes"]).decode() == token["token"] and "top_logprobs" in token for token in tokens)
    return "".join(token["token"] for token in tokens), {token["logprob"] for token in tokens}


@pytest.mark.parametrize("row", [row for row in ROWS if row.provider.capabilities.logprobs], ids=lambda row: row.name)
def test_log_probabilities_come_back_whole_and_streamed(row: Row) -> None:
    case = CASES["logprobs"]
    answer = orjson.loads(row.provider.answer(row.target(CHAT), reply(row, case).body).body)
    assert _probable(answer["choices"]) == (WORDS, {-0.25})
    reader = row.provider.stream(row.target(CHAT), False)
    found = reading.events([*reader.feed(reply(row, case, stream=True).body), *reader.end()])
    chunks = [reading.payload(event) for event in found if event != reading.DONE]
    assert _probable([choice for chunk in chunks for choice in chunk["choices"]]) == (WORDS, {-0.25})


@every_row
def test_images_and_stops_reach_the_vendor(row: Row) -> None:
    able = row.provider.capabilities
    if able.images:
        assert PIXEL.partition(",")[2].encode() in prepare(row, CASES["image"]).body
    assert able.stop
    sent = prepare(row, CASES["stop"]).body
    assert b'"END"' in sent and b'"###"' in sent
