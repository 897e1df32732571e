"""Concurrency becomes processes and threads."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.domain import sizing
from headgate.domain.endpoint import ServedEntity


def entity(**more: Any) -> ServedEntity:
    return ServedEntity("m-1", "main.default.m", "1", "1", **more)


@pytest.mark.parametrize(
    ("size", "cores", "limit", "io_bound", "expected"),
    [
        ("Small", 2, 0, False, sizing.Sizing(2, 2)),
        ("Small", 8, 0, False, sizing.Sizing(4, 1)),
        ("Medium", 2, 0, False, sizing.Sizing(2, 8)),
        ("Large", 16, 0, False, sizing.Sizing(16, 4)),
        ("Large", 16, 3, False, sizing.Sizing(3, 22)),
        ("Large", 16, 0, True, sizing.Sizing(1, 64)),
        (None, 1, 0, False, sizing.Sizing(1, 4)),
    ],
)
def test_a_size_becomes_processes_up_to_the_cores_and_threads(
    size: str | None, cores: int, limit: int, io_bound: bool, expected: sizing.Sizing
) -> None:
    made = sizing.size(entity(workload_size=size), io_bound=io_bound, cores=cores, processes_per_entity=limit)
    assert made == expected


def test_provisioned_concurrency_counts_before_the_size() -> None:
    made = sizing.size(entity(min_provisioned_concurrency=4, max_provisioned_concurrency=12), io_bound=False, cores=4)
    assert made == sizing.Sizing(4, 3)


@given(most=st.integers(1, 256), cores=st.integers(1, 128), limit=st.integers(0, 64), io_bound=st.booleans())
def test_all_processes_together_execute_what_was_provisioned(most: int, cores: int, limit: int, io_bound: bool) -> None:
    asked = entity(max_provisioned_concurrency=most)
    made = sizing.size(asked, io_bound=io_bound, cores=cores, processes_per_entity=limit)
    assert 1 <= made.max_processes <= max(1, limit or cores)
    assert most <= made.max_processes * made.slots_per_process < most + made.max_processes


@given(requests=st.integers(0, 1000), processes=st.integers(1, 64), slots=st.integers(1, 64))
def test_enough_processes_for_the_requests_and_not_one_more(requests: int, processes: int, slots: int) -> None:
    count = sizing.Sizing(processes, slots).processes_for(requests)
    assert count == processes or (count - 1) * slots < requests <= count * slots


@pytest.mark.parametrize(("kind", "factor"), [("CPU", 1), ("CPU_MEDIUM", 2), ("CPU_LARGE", 4)])
def test_memory_grows_with_slots_and_workload_type(kind: str, factor: int) -> None:
    assert sizing.memory_bytes(kind, 3, 1000) == 3000 * factor
    assert sizing.memory_bytes(kind, 3, 0) == 0
