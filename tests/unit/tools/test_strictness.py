"""The rules of tests/conftest.py, on a suite of a few tests in a pytest of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
SUITE = """
import pytest
from tests.fakes import pythons

def test_passes(): pass
def test_needs_a_database(): pytest.skip("no database")
def test_needs_an_old_python(): pytest.skip(pythons.ABSENT + "Python 3.0")
@pytest.mark.xfail(reason="known")
def test_is_known_to_fail(): assert False
"""
HANGS = "import threading\ndef test_hangs(): threading.Event().wait()\ndef test_after_it(): pass\n"
NEEDS_A_PACKAGE = "import pytest\npytest.importorskip('no_such_package_anywhere')\n"


def outcome(folder: Path, text: str, *options: str, **environ: str) -> tuple[int, str]:
    (folder / "test_of_its_own.py").write_text(text)
    kept = {name: value for name, value in os.environ.items() if name not in ("HEADGATE_CI", "PYTEST_ADDOPTS")}
    kept["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # loading those it does not need takes seconds
    plugins = ["-p", "tests.conftest", "-p", "pytest_timeout", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *plugins, "-ra", *options]
    ran = subprocess.run(
        [*command, f"--rootdir={folder}", "-c", os.devnull, str(folder)],
        env={**kept, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return ran.returncode, ran.stdout + ran.stderr


def test_what_is_absent_is_skipped_on_a_laptop(tmp_path: Path) -> None:
    status, told = outcome(tmp_path, SUITE)
    assert status == 0, told
    assert "1 passed, 2 skipped, 1 xfailed" in told


def test_what_is_absent_fails_in_ci_unless_it_is_optional_which_is_told(tmp_path: Path) -> None:
    status, told = outcome(tmp_path, SUITE, HEADGATE_CI="1")
    assert status == 1, told
    assert "1 failed, 1 passed, 1 skipped, 1 xfailed" in told
    assert "skipped in CI, which must have what it needs: no database" in told
    assert "1 skipped: another interpreter is absent: Python 3.0" in told


def test_what_is_absent_fails_in_ci_under_several_workers_too(tmp_path: Path) -> None:
    status, told = outcome(tmp_path, SUITE, "-p", "xdist", "-n", "1", HEADGATE_CI="1")
    assert status == 1, told
    assert "1 failed, 1 passed, 1 skipped, 1 xfailed" in told


def test_a_whole_file_that_is_skipped_fails_in_ci(tmp_path: Path) -> None:
    assert outcome(tmp_path, NEEDS_A_PACKAGE)[0] == 5, "no tests"
    status, told = outcome(tmp_path, NEEDS_A_PACKAGE, HEADGATE_CI="1")
    assert status == 2, told
    assert "could not import 'no_such_package_anywhere'" in told


def test_a_test_that_hangs_fails_and_the_others_go_on(tmp_path: Path) -> None:
    status, told = outcome(tmp_path, HANGS, "--timeout=1")
    assert status == 1, told
    assert "1 failed, 1 passed" in told
    assert "threading.Event().wait()" in told
