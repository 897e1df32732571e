"""One house in front of one fake vendor process, for everything that can go wrong around language models.

Only deadlines that no served entity can set for itself are short: whoever is not meant to be late never is, however slow the machine.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.scenario.language_house import LanguageHouse, language_house

IMPATIENT = {
    "HEADGATE_PROVIDERS_CONNECT_S": "30",
    "HEADGATE_PROVIDERS_IDLE_S": "12",
    "HEADGATE_PROVIDERS_BREAKER_FAILURES": "3",
    "HEADGATE_PROVIDERS_BREAKER_OPEN_S": "3",
}


@pytest.fixture(scope="session")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LanguageHouse]:
    with language_house(tmp_path_factory.mktemp("impatient") / "data", **IMPATIENT) as made:
        yield made
