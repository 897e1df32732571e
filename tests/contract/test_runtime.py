"""What every `Runtime` must do, asked of the fake and of the real agent (over its socket, with a stand-in guest)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.fakes import agent_house
from tests.fakes.agent_house import replica, until, until_gone, until_replica
from tests.fakes.runtime import FakeRuntime

from headgate.domain.environment import EnvironmentSpec
from headgate.replicas import environments
from headgate.replicas.building.build import BuildFailed
from headgate.replicas.client import AgentClient
from headgate.replicas.runtime import Runtime, RuntimeUnreachable

SPEC = EnvironmentSpec("3.11", ("mlflow==3.0",))


@dataclass
class Case:
    """A runtime, and how to make its next build fail and a replica not load."""

    runtime: Runtime
    fail_builds: Callable[[str], None]
    unloadable: dict[str, str] = field(default_factory=dict)


@contextlib.asynccontextmanager
async def fake(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Case]:
    runtime = FakeRuntime()

    def fail_builds(message: str) -> None:
        runtime.build_errors = {SPEC.key: message} if message else {}

    runtime.load_errors = {"/broken": "the model cannot be loaded"}
    yield Case(runtime, fail_builds)


@contextlib.asynccontextmanager
async def agent(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Case]:
    """The real agent; only uv is replaced, by a link to our own Python."""
    failure = ""

    def fail_builds(message: str) -> None:
        nonlocal failure
        failure = message

    async def build(workshop: object, spec: EnvironmentSpec, building: Path, log: object) -> str:
        if failure:
            raise BuildFailed(failure)
        agent_house.make_environment(building.parent.parent, building.name)
        return "mlflow==3.0\n"

    monkeypatch.setattr(environments.build, "build", build)
    with agent_house.short_folder() as run_dir:
        config = agent_house.make_config(folder, run_dir)
        async with agent_house.running(config) as client:
            yield Case(client, fail_builds, {"BEHAVE": "fail"})


Scenario = Callable[[Case], Awaitable[None]]


@pytest.fixture(params=[fake, agent], ids=["fake", "agent"])
def judge(request, tmp_path, monkeypatch) -> Callable[[Scenario], None]:
    def run(scenario: Scenario) -> None:
        async def live() -> None:
            async with request.param(tmp_path, monkeypatch) as case:
                await scenario(case)

        asyncio.run(live())

    return run


async def until_environment(runtime: Runtime, state: str):
    async def look():
        found = (await runtime.observe()).environments.get(SPEC.key)
        return found if found is not None and found.state == state else None

    return await until(look)


def spec_of(case: Case, replica_id: str = "r1", broken: bool = False):
    made = replica(replica_id, SPEC.key, **(case.unloadable if broken else {}))
    return made if not broken else type(made)(**{**_fields(made), "model_path": "/broken"})


def _fields(spec) -> dict[str, object]:
    return {name: getattr(spec, name) for name in spec.__dataclass_fields__}


def test_an_environment_becomes_ready_with_its_lock(judge):
    async def scenario(case):
        assert SPEC.key not in (await case.runtime.observe()).environments
        await case.runtime.ensure_environment(SPEC)
        found = await until_environment(case.runtime, "READY")
        assert found.lock == "mlflow==3.0\n"
        await case.runtime.ensure_environment(SPEC)
        assert (await case.runtime.observe()).environments[SPEC.key] == found

    judge(scenario)


def test_a_failed_environment_says_why_and_is_built_again_when_asked(judge):
    async def scenario(case):
        case.fail_builds("no such package")
        await case.runtime.ensure_environment(SPEC)
        assert "no such package" in (await until_environment(case.runtime, "FAILED")).message
        case.fail_builds("")
        await case.runtime.ensure_environment(SPEC)
        assert (await until_environment(case.runtime, "READY")).message == ""

    judge(scenario)


def test_a_replica_becomes_ready_with_an_address_and_goes_when_stopped(judge):
    async def scenario(case):
        await case.runtime.ensure_environment(SPEC)
        await until_environment(case.runtime, "READY")
        await case.runtime.start_replica(spec_of(case))
        found = await until_replica(case.runtime, "READY")
        assert found.address.startswith("unix:/")
        assert (found.slots, found.how, found.message) == (2, "fork", "")
        assert found.log_path.endswith("r1.log")
        await case.runtime.start_replica(spec_of(case))
        again = await until_replica(case.runtime, "READY")
        assert again.pid == found.pid  # the same id is the same replica
        await case.runtime.stop_replica("r1", drain=True)
        await until_gone(case.runtime)

    judge(scenario)


def test_a_replica_that_does_not_load_is_reported_until_it_is_acknowledged(judge):
    async def scenario(case):
        await case.runtime.ensure_environment(SPEC)
        await until_environment(case.runtime, "READY")
        await case.runtime.start_replica(spec_of(case, broken=True))
        found = await until_replica(case.runtime, "FAILED")
        assert "the model cannot be loaded" in found.message
        assert found.address == ""
        await case.runtime.start_replica(spec_of(case, broken=True))
        assert (await case.runtime.observe()).replicas["r1"].state == "FAILED"
        await case.runtime.stop_replica("r1", drain=True)
        await until_gone(case.runtime)

    judge(scenario)


def test_a_replica_without_its_environment_fails(judge):
    async def scenario(case):
        await case.runtime.start_replica(spec_of(case))
        assert "not ready" in (await until_replica(case.runtime, "FAILED")).message

    judge(scenario)


def test_stopping_what_is_not_there_is_nothing(judge):
    async def scenario(case):
        await case.runtime.stop_replica("gone", drain=True)
        await case.runtime.stop_replica("gone", drain=False)
        assert not (await case.runtime.observe()).replicas

    judge(scenario)


def test_retained_environments_stay(judge):
    async def scenario(case):
        await case.runtime.ensure_environment(SPEC)
        await until_environment(case.runtime, "READY")
        await case.runtime.retain(frozenset({SPEC.key}))
        await case.runtime.retain(frozenset({SPEC.key}))
        assert (await case.runtime.observe()).environments[SPEC.key].state == "READY"

    judge(scenario)


def test_an_agent_that_is_away_is_unreachable(tmp_path):
    away = FakeRuntime()
    away.unreachable = True
    for runtime in (away, AgentClient(tmp_path / "agent.sock", deadline_s=1.0)):
        with pytest.raises(RuntimeUnreachable):
            asyncio.run(runtime.observe())
