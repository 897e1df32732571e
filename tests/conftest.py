"""What holds for every test: a limit on its time and, in CI, no skipping of what CI could have installed and no new examples."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from tests.fakes import mounts, pythons
from xdist.scheduler import LoadScopeScheduling

OPTIONAL = (pythons.ABSENT, mounts.REFUSED)
"""Reasons for which a test may be skipped even in CI, by their beginnings: what CI cannot install, or is not let do."""

# Machines are slow. In CI, where nobody looks for new bugs, examples are the same each time, as in Hypothesis' own profile for it.
settings.register_profile("anywhere", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("anywhere"), derandomize=True, database=None, print_blob=True)
settings.load_profile("ci" if os.environ.get("HEADGATE_CI") else "anywhere")

LONG_S = 1200
"""Limit of tests that build environments or start houses; `timeout` in pyproject.toml is that of all others."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        slow = item.get_closest_marker("scenario") or item.get_closest_marker("wire")
        if slow and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(LONG_S))


def pytest_collection_finish() -> None:
    """What there is now stays until the end: the collector need not look through it again with every test."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Lanes:
    # Folders with houses have few tests and take long: by number they would come last.
    config.option.loadscopereorder = False
    return Lanes(config, log)


class Lanes(LoadScopeScheduling):  # type: ignore[misc]
    """With `-n 2`: each process takes the next file, or the next folder where the tests of a folder share a running house."""

    HOUSES = ("tests/docs/", "tests/scenario/", "tests/wire/")

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::")[0]
        return file.rpartition("/")[0] if file.startswith(self.HOUSES) else file


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if not hasattr(report, "wasxfail"):
        _insist(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _insist(report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped and os.environ.get("HEADGATE_CI"):
        terminalreporter.section("not tested here")
        for reason in sorted({_reason(report) for report in skipped}):
            terminalreporter.line(f"{sum(_reason(report) == reason for report in skipped)} skipped: {reason}")


def _insist(report: pytest.TestReport | pytest.CollectReport) -> None:
    """In CI a skipped test is a failed one, unless its reason is on the list."""
    if report.skipped and os.environ.get("HEADGATE_CI") and not _reason(report).startswith(OPTIONAL):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI, which must have what it needs: {_reason(report)}"


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    told = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return told.removeprefix("Skipped: ")
