"""A machine set up for pip is set up for the builds."""

from __future__ import annotations

import pytest

from headgate.replicas.building import commands, pip_configuration

NO_FILES = {"PIP_CONFIG_FILE": "/dev/null"}


def test_variables_of_pip_become_those_of_uv():
    assert pip_configuration.uv_variables(
        {
            **NO_FILES,
            "PIP_INDEX_URL": "https://one.example/simple",
            "PIP_EXTRA_INDEX_URL": "https://two.example/simple\nhttps://three.example/simple",
            "PIP_FIND_LINKS": "/wheels",
            "PIP_TRUSTED_HOST": "one.example",
            "PIP_TIMEOUT": "60",
        }
    ) == {
        "UV_DEFAULT_INDEX": "https://one.example/simple",
        "UV_INDEX": "https://two.example/simple https://three.example/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": "/wheels",
        "UV_INSECURE_HOST": "one.example",
    }


@pytest.mark.parametrize("name", ["UV_DEFAULT_INDEX", "UV_INDEX_URL"])
def test_what_is_set_for_uv_wins(name):
    given = {**NO_FILES, "PIP_INDEX_URL": "https://one.example/simple", name: "https://uv.example/simple"}
    assert pip_configuration.uv_variables(given) == {}


def test_files_of_pip_are_read_and_variables_win_over_them(tmp_path):
    (tmp_path / "pip.conf").write_text(
        "[global]\nindex-url = https://file.example/simple\nfind-links =\n    /a\n    /b\n[install]\ntrusted-host = x\n"
    )
    given = {"PIP_CONFIG_FILE": str(tmp_path / "pip.conf"), "HOME": str(tmp_path), "PIP_TRUSTED_HOST": "y"}
    found = pip_configuration.uv_variables(given)
    assert found["UV_DEFAULT_INDEX"] == "https://file.example/simple"
    assert found["UV_FIND_LINKS"] == "/a,/b"
    assert found["UV_INSECURE_HOST"] == "y"


def test_a_build_sees_how_to_reach_packages_and_nothing_of_ours():
    given = {"PATH": "/bin", "UV_CACHE_DIR": "/c", "HTTPS_PROXY": "p", "HEADGATE_ADMIN_TOKEN": "s", "AWS_SECRET": "s"}
    assert commands.build_environ(given) == {"PATH": "/bin", "UV_CACHE_DIR": "/c", "HTTPS_PROXY": "p"}
