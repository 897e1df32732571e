"""Waiting until what was written is in force, for changes that no state of the API shows on their way (docs/decisions/0007)."""

from __future__ import annotations

from headgate.api.dependencies import ApiDependencies

LONGEST_WAIT_S = 2.0
"""A server that hangs, or died without a word, keeps nobody waiting for longer."""
_BETWEEN_LOOKS_S = 0.005


def wait_until_routed(dependencies: ApiDependencies) -> None:
    """Returns once every server process seen lately routes by all that is written now, after `LONGEST_WAIT_S` in any case."""
    servers, clock = dependencies.servers, dependencies.clock
    written = servers.newest_revision()
    end_s = clock.monotonic_s() + LONGEST_WAIT_S
    while clock.monotonic_s() < end_s:
        slowest = servers.slowest_revision(clock.now_ms())
        if slowest is None or slowest >= written:
            return
        dependencies.pause(_BETWEEN_LOOKS_S)
