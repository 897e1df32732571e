"""One house with short deadlines in front of one fake vendor process, for everything that can go wrong around language models."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.scenario.language_house import LanguageHouse, language_house

IMPATIENT = {
    "HEADGATE_PROVIDERS_CONNECT_S": "2",
    "HEADGATE_PROVIDERS_FIRST_BYTE_S": "3",
    "HEADGATE_PROVIDERS_IDLE_S": "3",
    "HEADGATE_PROVIDERS_TOTAL_S": "20",
    "HEADGATE_PROVIDERS_BREAKER_FAILURES": "3",
    "HEADGATE_PROVIDERS_BREAKER_OPEN_S": "3",
}


@pytest.fixture(scope="session")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LanguageHouse]:
    with language_house(tmp_path_factory.mktemp("impatient") / "data", **IMPATIENT) as made:
        yield made
