"""Other interpreters on this machine, for tests of what must run in them."""

from __future__ import annotations

import functools
import os
import subprocess

import pytest
from uv import find_uv_bin

from headgate.replicas.building import interpreters

ABSENT = "another interpreter is absent: "
"""How the reason begins for which `other_python` skips."""


@functools.lru_cache
def _listed() -> str:
    command = [find_uv_bin(), "python", "list", "--only-installed", "--output-format", "json"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout


def other_python(minor: str) -> str:
    """Path of a Python `minor` (`3.9`). Absent: skips, also in CI, whose system has only one."""
    present = [*interpreters.local(os.environ), *interpreters.from_uv(_listed())]
    try:
        return interpreters.choose(minor, present, may_download=False)
    except interpreters.NoInterpreter:
        pytest.skip(f"{ABSENT}Python {minor}")
