"""Disks of a size that a test chooses, where the machine lets it mount some."""

from __future__ import annotations

import subprocess

import pytest

REFUSED = "this machine lets nobody mount a tmpfs"


def mount(*arguments: str) -> None:
    """Skips the test where that is not allowed, as in most containers."""
    try:
        done = subprocess.run(["mount", *arguments], capture_output=True, text=True, timeout=60, check=False)
    except FileNotFoundError as error:
        pytest.skip(f"{REFUSED}: {error}")
    if done.returncode:
        pytest.skip(f"{REFUSED}: {done.stderr.strip()}")
