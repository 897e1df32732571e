"""Environments: shared, atomic, bounded, deleted. What builds one is replaced; `tests/scenario/test_environments.py` has uv."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.fakes.agent_house import make_environment, until

from headgate.domain.environment import EnvironmentSpec
from headgate.replicas import environments
from headgate.replicas.building import local
from headgate.replicas.building.build import BuildFailed, Workshop
from headgate.replicas.building.bytecode import BytecodeStore
from headgate.replicas.environments import Environments
from headgate.settings import EnvironmentSettings

SPEC = EnvironmentSpec("3.11", ("mlflow==3.0",))
OTHER = EnvironmentSpec("3.11", ("mlflow==2.9",))


class Builder:
    """Stands for uv: counts builds and lets them wait or fail."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.running = self.most_running = 0
        self.go = asyncio.Event()
        self.error: Exception | None = None

    async def build(self, workshop, spec, folder: Path, log) -> str:
        self.begun.append(spec.key)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await self.go.wait()
            if self.error is not None:
                raise self.error
            make_environment(folder.parent.parent, folder.name)
            return "mlflow==3.0\n"
        finally:
            self.running -= 1


@pytest.fixture
def builder(monkeypatch) -> Builder:
    made = Builder()
    monkeypatch.setattr(environments.build, "build", made.build)
    return made


async def works(spec, folder: Path, log) -> None:
    """A proof that succeeds."""


@contextlib.asynccontextmanager
async def opened(folder: Path, prove=None, **settings) -> AsyncIterator[Environments]:
    store = BytecodeStore(folder / "bytecode", 0)
    workshop = Workshop(EnvironmentSettings(**settings), {"PATH": os.environ["PATH"]}, store)
    made = Environments(
        folder / "environments", folder / "logs", workshop, changed=lambda key: None, prove=prove or works
    )
    made.load()
    try:
        yield made
    finally:
        await made.close()


async def until_state(made: Environments, state: str, spec: EnvironmentSpec = SPEC):
    await until(lambda: made.observed()[spec.key].state == state)
    return made.observed()[spec.key]


def test_several_wishes_for_one_environment_build_it_once(tmp_path, builder):
    async def scenario():
        async with opened(tmp_path) as made:
            made.ensure(SPEC)
            made.ensure(SPEC)
            assert made.observed()[SPEC.key].state == "BUILDING"
            builder.go.set()
            assert (await until_state(made, "READY")).lock == "mlflow==3.0\n"
            made.ensure(SPEC)
            assert builder.begun == [SPEC.key]
            assert Path(made.python(SPEC.key)).samefile(sys.executable)
        async with opened(tmp_path) as again:
            assert again.observed()[SPEC.key].lock == "mlflow==3.0\n"

    asyncio.run(scenario())


def test_builds_at_the_same_time_are_bounded(tmp_path, builder):
    async def scenario():
        async with opened(tmp_path, parallel_builds=1) as made:
            made.ensure(SPEC)
            made.ensure(OTHER)
            await until(lambda: builder.begun)
            builder.go.set()
            await until_state(made, "READY")
            await until_state(made, "READY", OTHER)
            assert builder.most_running == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("error", [BuildFailed("no such package"), OSError(28, "No space left on device")])
def test_a_failed_build_leaves_nothing_and_may_be_tried_again(tmp_path, builder, error):
    async def scenario():
        builder.error = error
        builder.go.set()
        async with opened(tmp_path) as made:
            made.ensure(SPEC)
            assert str(error) in (await until_state(made, "FAILED")).message
            assert list((tmp_path / "environments").iterdir()) == []
            builder.error = None
            made.ensure(SPEC)
            await until_state(made, "READY")

    asyncio.run(scenario())


def test_an_environment_that_does_not_work_where_it_lies_is_never_ready_and_leaves_nothing(tmp_path, builder):
    seen = []

    async def prove(spec, folder: Path, log) -> None:
        seen.append(folder)
        assert (folder / "venv/bin/python").exists()
        assert not (folder / "state.json").exists()  # a kill now leaves what the next start sweeps
        raise BuildFailed("mlflow cannot be imported")

    async def scenario():
        builder.go.set()
        async with opened(tmp_path, prove) as made:
            made.ensure(SPEC)
            assert "mlflow cannot be imported" in (await until_state(made, "FAILED")).message
            assert seen == [made.root / SPEC.key]
            assert list(made.root.iterdir()) == []

    asyncio.run(scenario())


def test_a_killed_build_is_swept_and_never_ready(tmp_path, builder):
    async def scenario():
        make_environment(tmp_path, f"{SPEC.key}.building")
        make_environment(tmp_path, f"{OTHER.key}.deleting")
        (tmp_path / "environments" / "0000000000000000").mkdir()
        async with opened(tmp_path) as made:
            assert made.observed() == {}
            assert list((tmp_path / "environments").iterdir()) == []
            made.ensure(SPEC)  # cancelled by the end of the block
            await until(lambda: builder.begun)
        assert list((tmp_path / "environments").iterdir()) == []

    asyncio.run(scenario())


def test_an_environment_whose_python_is_gone_is_built_again(tmp_path, builder):
    async def scenario():
        make_environment(tmp_path, SPEC.key)
        python = tmp_path / "environments" / SPEC.key / "venv" / "bin" / "python"
        python.unlink()
        python.symlink_to("/gone/python3.11")
        async with opened(tmp_path) as made:
            assert not made.is_ready(SPEC.key)

    asyncio.run(scenario())


def test_what_nobody_retains_is_deleted_after_the_retention_time(tmp_path):
    async def scenario():
        for spec in (SPEC, OTHER):
            make_environment(tmp_path, spec.key)
            os.utime(tmp_path / "environments" / spec.key, (1.0, 1.0))
        (tmp_path / "logs").mkdir()
        (tmp_path / "logs" / f"{OTHER.key}.log").write_text("built")
        async with opened(tmp_path, retention_s=3600.0) as made:
            assert await made.collect(frozenset()) == []  # control has not spoken yet
            made.retain(frozenset({SPEC.key}))
            assert await made.collect(frozenset({OTHER.key})) == []  # a replica still uses it
            assert await made.collect(frozenset()) == [OTHER.key]
            assert [path.name for path in made.root.iterdir()] == [SPEC.key]
            assert list((tmp_path / "logs").iterdir()) == []
            made.retain(frozenset())
            assert await made.collect(frozenset()) == []  # retained until a moment ago

    asyncio.run(scenario())


def test_local_mode_uses_our_own_python_when_it_satisfies_the_pins(tmp_path, builder):
    pytest_version = pytest.__version__
    fitting = EnvironmentSpec(
        f"3.{sys.version_info[1]}.0", ("mlflow", f"pytest=={pytest_version}", 'nope ; python_version < "3"')
    )

    async def scenario():
        async with opened(tmp_path, mode="local") as made:
            made.ensure(fitting)
            found = await until_state(made, "READY", fitting)
            assert f"pytest=={pytest_version}\n" in found.lock
            assert made.python(fitting.key) == sys.executable
            assert builder.begun == []
            builder.go.set()
            made.ensure(SPEC)
            await until_state(made, "READY")
            assert builder.begun == [SPEC.key]
            log = (tmp_path / "logs" / f"{SPEC.key}.log").read_text()
            assert (
                "server's own environment cannot be used (the model asks for mlflow==3.0, the server has mlflow" in log
            )
        async with opened(tmp_path) as again:
            assert not again.is_ready(fitting.key)  # our packages may have changed since

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (EnvironmentSpec("2.7", ()), "asks for Python 2.7"),
        (EnvironmentSpec("", ("no-such-package-here",)), "not installed"),
        (EnvironmentSpec("", ("pytest==0.1",)), "the server has pytest"),
        (EnvironmentSpec("", ("own @ https://example.org/own.whl",)), "comes from a URL"),
        (EnvironmentSpec("", ("./own.whl",)), "no pin"),
        (EnvironmentSpec("", ("-e .",)), "no pin"),
        (EnvironmentSpec("", ("mlflow",), lock="pytest==0.1\n"), "the server has pytest"),
    ],
)
def test_local_mode_says_why_it_cannot_be_used(spec, why):
    assert why in local.mismatch(spec)
