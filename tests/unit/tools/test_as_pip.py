from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tools import as_pip

SHOW = "import json, os; print(json.dumps(dict(os.environ)))"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """This process's, with a pip configuration of its own and none of uv's."""
    (tmp_path / "pip.conf").write_text(
        "[global]\nfind-links =\n    /wheels\n    /more\nindex-url = https://mirror/simple\n"
        "[install]\nextra-index-url = https://one https://two\n"
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    return {**kept, "PIP_CONFIG_FILE": str(tmp_path / "pip.conf"), "HOME": str(tmp_path)}


def seen_by_uv(environ: dict[str, str]) -> dict[str, str]:
    script = Path(as_pip.__file__)
    command = [sys.executable, str(script), sys.executable, "-c", SHOW]
    ran = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=True)
    shown = json.loads(ran.stdout)
    return {name: value for name, value in shown.items() if name.startswith("UV_")}


def test_uv_is_told_where_pip_is_configured_to_look(environ: dict[str, str]) -> None:
    seen = seen_by_uv(environ)
    assert seen["UV_FIND_LINKS"] == "/wheels,/more"
    assert seen["UV_DEFAULT_INDEX"] == "https://mirror/simple"
    assert seen["UV_INDEX"].split() == ["https://one", "https://two"]
    assert seen["UV_INDEX_STRATEGY"] == "unsafe-best-match"


def test_what_uv_was_told_directly_stays(environ: dict[str, str]) -> None:
    assert seen_by_uv({**environ, "UV_FIND_LINKS": "/mine"})["UV_FIND_LINKS"] == "/mine"


def test_pips_environment_variables_win_over_its_files(environ: dict[str, str]) -> None:
    assert seen_by_uv({**environ, "PIP_FIND_LINKS": "/from/environment"})["UV_FIND_LINKS"] == "/from/environment"
