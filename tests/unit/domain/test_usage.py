"""How many tokens a request took, whatever the vendor says."""

from __future__ import annotations

from typing import Any

import pytest

from headgate.domain.usage import Usage


@pytest.mark.parametrize("said", ["12", None, [], {}, -1, 2**53, 1e300, float("nan"), True])
def test_a_count_that_is_none_is_zero(said: Any) -> None:
    assert Usage(said, 5, said, said, said) == Usage(0, 5)
    assert Usage(3, said).total_tokens == 3


def test_a_whole_number_may_come_as_a_float() -> None:
    assert Usage(11.0, 9.0) == Usage(11, 9)  # type: ignore[arg-type]
