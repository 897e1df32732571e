"""Environments built with the real uv: what is installed, locked, warmed, and what is said when that fails."""

from __future__ import annotations

import asyncio
import functools
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tests.fakes.agent_house import until

from headgate.domain.environment import EnvironmentSpec
from headgate.replicas.building import build as building
from headgate.replicas.building.build import BuildFailed, Workshop
from headgate.replicas.building.build_log import BuildLog
from headgate.replicas.building.bytecode import BytecodeStore
from headgate.replicas.environments import Environments
from headgate.settings import EnvironmentSettings

pytestmark = pytest.mark.scenario

CACHED = """
import mlflow.sklearn, sklearn.linear_model, sklearn.ensemble, sys
for module in list(sys.modules.values()):
    if "/venv/" in (getattr(module, "__file__", "") or "") and getattr(module, "__cached__", None):
        print(module.__cached__)
"""
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"


def workshop(folder: Path, **settings: object) -> Workshop:
    return Workshop(EnvironmentSettings(**settings), dict(os.environ), BytecodeStore(folder / "bytecode", 0))  # type: ignore[arg-type]


def own_wheel(folder: Path) -> str:
    """A wheel inside a model's folder; its name relative to that."""
    (folder / "code").mkdir(parents=True)
    name = "code/own_words-1.0-py3-none-any.whl"
    with zipfile.ZipFile(folder / name, "w") as wheel:
        wheel.writestr("own_words/__init__.py", "GREETING = 'hello'\n")
        wheel.writestr("own_words-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: own-words\nVersion: 1.0\n")
        wheel.writestr(
            "own_words-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr("own_words-1.0.dist-info/RECORD", "")
    return name


async def built_and_proven(tools: Workshop, spec: EnvironmentSpec, folder: Path, log: BuildLog) -> None:
    await building.build(tools, spec, folder, log)
    await building.prove(tools, spec, folder, log)


def fail(spec: EnvironmentSpec, folder: Path, **settings: object) -> str:
    """Why that cannot be built; the build log must say the same."""
    (folder / "building").mkdir()
    with BuildLog(folder / "build.log") as log, pytest.raises(BuildFailed) as raised:
        asyncio.run(built_and_proven(workshop(folder, **settings), spec, folder / "building", log))
    assert str(raised.value).splitlines()[0] in (folder / "build.log").read_text()
    return str(raised.value)


def test_an_environment_is_built_moved_locked_warmed_and_built_again_from_its_lock(tmp_path):
    model = tmp_path / "model with space"
    wheel = own_wheel(model)
    first = EnvironmentSpec(PYTHON, ("mlflow", "scikit-learn", wheel), model_path=str(model))

    async def scenario():
        tools = workshop(tmp_path)
        made = Environments(
            tmp_path / "environments",
            tmp_path / "logs",
            tools,
            changed=lambda key: None,
            prove=functools.partial(building.prove, tools),
        )
        made.load()
        made.ensure(first)
        await until(lambda: made.observed()[first.key].state != "BUILDING", 240)
        found = made.observed()[first.key]
        assert found.state == "READY", found.message
        lines = found.lock.splitlines()
        assert f"./{wheel}" in lines
        assert any(line.startswith("scikit-learn==") for line in lines)
        folder = made.root / first.key

        python = made.python(first.key)
        code = "import own_words, mlflow.sklearn, sys; print(own_words.GREETING, sys.prefix)"
        assert run(python, code).split() == ["hello", str(folder / "venv")]  # it works where it was moved to
        cached = [Path(name) for name in run(python, CACHED, "-B").split("\n")]
        assert len(cached) > 500
        assert not [path for path in cached if not path.exists()], "a start would compile these"
        sources = next((folder / "venv" / "lib").glob("*/site-packages/sklearn/__init__.py"))
        log = (tmp_path / "logs" / f"{first.key}.log").read_text()
        assert "importing the packages" in log
        assert " + mlflow==" in log

        again = EnvironmentSpec(PYTHON, first.requirements, model_path=str(model), lock=found.lock)
        made.ensure(again)
        await until(lambda: made.observed()[again.key].state != "BUILDING", 120)
        assert made.observed()[again.key].lock == found.lock, made.observed()[again.key].message
        log = (tmp_path / "logs" / f"{again.key}.log").read_text()
        assert "from uv's cache alone:" in log
        assert re.search(r"bytecode: \d{4,} files shared", log)
        twin = made.root / again.key / sources.relative_to(folder)
        assert twin.samefile(sources) or sources.stat().st_nlink == 1, (
            "packages are hardlinks where uv's cache allows it"
        )
        await made.close()

    asyncio.run(scenario())


def run(python: str, code: str, *options: str) -> str:
    done = subprocess.run(
        [python, "-I", "-W", "ignore", *options, "-c", code], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("requirements", "words"),
    [
        (("no-such-package-of-ours-1234",), "does not exist in the configured indexes"),
        (("six==99.0",), "pinned version does not exist"),
        (("six==1.16.0", "six==1.17.0"), "contradict each other"),
        (("code/gone-1.0-py3-none-any.whl",), "local file"),
        (("six ===",), "cannot be understood"),
    ],
)
def test_requirements_that_cannot_be_installed_say_why(tmp_path, requirements, words):
    message = fail(EnvironmentSpec(PYTHON, requirements, model_path=str(tmp_path / "model")), tmp_path)
    assert words in message.splitlines()[0]
    assert requirements[0].partition("=")[0].strip() in message


def test_an_environment_in_which_mlflow_cannot_be_imported_fails(tmp_path):
    message = fail(EnvironmentSpec(PYTHON, ("six",)), tmp_path)
    assert "mlflow cannot be imported" in message
    assert "No module named 'mlflow'" in message


def test_a_python_that_is_not_there_is_named_with_those_that_are(tmp_path):
    message = fail(EnvironmentSpec("3.99.1", ("six",)), tmp_path, python_downloads="never")
    assert "no Python 3.99 is on this machine (there: " in message


def test_a_build_that_takes_too_long_is_ended(tmp_path):
    assert "longer than 0.01 s" in fail(EnvironmentSpec(PYTHON, ("six",)), tmp_path, build_deadline_s=0.01)


def test_a_lock_with_something_uv_has_not_cached_asks_the_indexes(tmp_path):
    spec = EnvironmentSpec(PYTHON, ("six",), lock="six==99.0\n")
    assert "pinned version does not exist" in fail(spec, tmp_path).splitlines()[0]
    assert "asking the indexes" in (tmp_path / "build.log").read_text()


def test_an_index_that_is_away_is_named(tmp_path):
    arguments = "--default-index http://127.0.0.1:9/simple --no-cache"
    os_environ = {**os.environ, "UV_HTTP_RETRIES": "0", "PIP_CONFIG_FILE": "/dev/null"}
    (tmp_path / "building").mkdir()
    made = Workshop(
        EnvironmentSettings(uv_args=arguments),
        {k: v for k, v in os_environ.items() if k != "PIP_FIND_LINKS"},
        BytecodeStore(tmp_path / "bytecode", 0),
    )
    with BuildLog(tmp_path / "build.log") as log, pytest.raises(BuildFailed, match="index cannot be reached"):
        asyncio.run(building.build(made, EnvironmentSpec(PYTHON, ("six",)), tmp_path / "building", log))
