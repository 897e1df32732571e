"""Golden pairs: what is sent to create an endpoint, and the whole answer. `<id>` and `<ms>` stand for any."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.api_house import ENDPOINTS, ApiHouse

PAIRS = sorted((Path(__file__).parent / "golden").glob("*.json"))


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiHouse]:
    house = ApiHouse(tmp_path_factory.mktemp("golden"))
    yield house
    house.close()


def stand_in(key: str, value: Any) -> Any:
    """Ids and times replaced, after a look at their form."""
    if isinstance(value, dict):
        return {inner: stand_in(inner, of) for inner, of in value.items()}
    if isinstance(value, list):
        return [stand_in(key, of) for of in value]
    if key == "id" and re.fullmatch(r"[0-9a-f]{32}", value):
        return "<id>"
    if key.endswith(("_timestamp", "start_time")) and isinstance(value, int) and 1_700_000_000_000 < value < 10**13:
        return "<ms>"
    return value


@pytest.mark.parametrize("pair", PAIRS, ids=[path.stem for path in PAIRS])
def test_what_is_sent_is_echoed_exactly(api: ApiHouse, pair: Path) -> None:
    golden = json.loads(pair.read_text())
    answer = api.request("POST", ENDPOINTS, golden["request"])
    assert answer.status == 200
    assert stand_in("", answer.body) == golden["answer"]
    assert api.get(golden["request"]["name"]).body == answer.body


def test_there_are_pairs() -> None:
    assert len(PAIRS) >= 4
