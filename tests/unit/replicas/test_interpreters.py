"""Which Python an environment gets, and what is said when there is none."""

from __future__ import annotations

import sys

import pytest

from headgate.replicas.building import interpreters
from headgate.replicas.building.interpreters import Interpreter, NoInterpreter

PRESENT = [
    Interpreter((3, 9, 18), "/py/3.9.18"),
    Interpreter((3, 11, 2), "/py/3.11.2"),
    Interpreter((3, 11, 7), "/py/3.11.7"),
    Interpreter((3, 8, 18), "/py/3.8.18"),
]


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [("3.11.2", "/py/3.11.2"), ("3.11.9", "/py/3.11.7"), ("3.11", "/py/3.11.7"), ("3.9.1", "/py/3.9.18")],
)
def test_the_exact_version_else_the_newest_of_the_same_minor_version(wanted, chosen):
    assert interpreters.choose(wanted, PRESENT, may_download=False) == chosen


def test_without_a_wish_it_is_our_own_version():
    own = Interpreter(tuple(sys.version_info[:3]), sys.executable)
    assert interpreters.choose("", [own], may_download=False) == sys.executable


def test_a_missing_version_is_downloaded_where_that_is_allowed():
    assert interpreters.choose("3.12.4", PRESENT, may_download=True) == "3.12"


def test_otherwise_the_message_says_which_are_there_and_what_to_do():
    with pytest.raises(NoInterpreter) as raised:
        interpreters.choose("3.12.4", PRESENT, may_download=False)
    message = str(raised.value)
    assert "asks for Python 3.12.4, and no Python 3.12 is on this machine (there: 3.9.18, 3.11.2, 3.11.7)" in message
    assert "uv python install 3.12" in message


@pytest.mark.parametrize(
    ("wanted", "words"), [("3.8.18", "3.9 or newer"), ("latest", "not a version"), ("3", "not a version")]
)
def test_versions_nobody_can_run_are_refused(wanted, words):
    with pytest.raises(NoInterpreter, match=words):
        interpreters.choose(wanted, PRESENT, may_download=True)


def test_shims_and_other_pythons_in_uvs_list_are_left_out():
    listing = """warning: a broken one
[
 {"version": "3.11.7", "path": "/home/me/.pyenv/shims/python3", "implementation": "cpython", "variant": "default"},
 {"version": "3.10.14", "path": "/pypy", "implementation": "pypy", "variant": "default"},
 {"version": "3.13.0", "path": "/t", "implementation": "cpython", "variant": "freethreaded"},
 {"version": "3.12.1", "path": "/usr/bin/python3.12", "implementation": "cpython", "variant": "default"}
]"""
    assert interpreters.from_uv(listing) == [Interpreter((3, 12, 1), "/usr/bin/python3.12")]
    assert interpreters.from_uv("error: no") == []


def test_pyenvs_versions_are_found_though_not_on_the_path(tmp_path):
    for name in ("3.12.1", "3.12-dev", "my-venv"):
        path = tmp_path / "versions" / name / "bin" / "python"
        path.parent.mkdir(parents=True)
        path.touch()
    found = interpreters.local({"PYENV_ROOT": str(tmp_path)})
    assert found[0].version == tuple(sys.version_info[:3])
    assert [str(item) for item in found[1:]] == ["3.12.1"]
