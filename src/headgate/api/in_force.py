"""Waiting until what was written is in force, for changes that no state of the API shows on their way (docs/decisions/0007)."""

from __future__ import annotations

from collections.abc import Callable

from headgate.api.dependencies import ApiDependencies

LONGEST_WAIT_S = 2.0
"""A server that hangs, or died without a word, keeps nobody waiting for longer."""
_BETWEEN_LOOKS_S = 0.005


def wait_until_routed(dependencies: ApiDependencies) -> None:
    """Returns once every server process seen lately routes by all that is written now, after `LONGEST_WAIT_S` in any case."""
    _wait(dependencies, dependencies.servers.newest_revision(), dependencies.servers.slowest_revision)


def wait_until_known(dependencies: ApiDependencies) -> None:
    """The same for identities: every server process lets in whom the store says now, and nobody else."""
    _wait(dependencies, dependencies.servers.newest_identity(), dependencies.servers.slowest_identity)


def _wait(dependencies: ApiDependencies, written: int, slowest_at: Callable[[int], int | None]) -> None:
    clock = dependencies.clock
    end_s = clock.monotonic_s() + LONGEST_WAIT_S
    while clock.monotonic_s() < end_s:
        slowest = slowest_at(clock.now_ms())
        if slowest is None or slowest >= written:
            return
        dependencies.pause(_BETWEEN_LOOKS_S)
