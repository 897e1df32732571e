"""One application for all tests of a file; tests use endpoint names of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.fakes.api_house import ApiHouse


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiHouse]:
    house = ApiHouse(tmp_path_factory.mktemp("api"))
    yield house
    house.close()
