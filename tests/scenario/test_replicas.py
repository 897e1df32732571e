"""The real agent, the real guest and a real model: build, fork, predict, learn, kill the agent, adopt, stop."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.fakes.agent_house import (
    Server,
    agent_process,
    answering,
    running,
    short_folder,
    until,
    until_gone,
    until_replica,
)
from tests.scenario.house import share_bytecode

from headgate.domain import model_files
from headgate.domain.environment import ModelDescription
from headgate.replicas import logs
from headgate.replicas.agent_config import AgentConfig
from headgate.replicas.life import processes
from headgate.replicas.runtime import ReplicaSpec
from headgate.settings import ReplicaSettings

pytestmark = pytest.mark.scenario

TRAIN = """
import sys, mlflow, mlflow.sklearn, pandas as pd
from sklearn.linear_model import LinearRegression
X = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [0.0, 1.0, 0.0]})
y = X["a"] * 2
signature = mlflow.models.infer_signature(X, y)
mlflow.sklearn.save_model(LinearRegression().fit(X, y), sys.argv[1], signature=signature, serialization_format="cloudpickle")
"""
BODY = b'{"dataframe_split": {"columns": ["a", "b"], "data": [[4.0, 0.0]]}}'


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelDescription:
    folder = tmp_path_factory.mktemp("trained") / "model"
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", TRAIN, str(folder)], check=True, cwd=folder.parent, timeout=120
    )

    def read(name: str) -> str | None:
        path = folder / name
        return path.read_text() if path.exists() else None

    return model_files.describe("main.default.churn", "1", str(folder), read)


@pytest.fixture(scope="module")
def built(model: ModelDescription, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentConfig]:
    """A configuration whose data_dir holds the model's environment, inside a house."""
    reading, writing = os.pipe()
    with short_folder() as run_dir:
        data_dir = tmp_path_factory.mktemp("data")
        share_bytecode(data_dir)
        config = AgentConfig(
            data_dir=data_dir,
            run_dir=run_dir,
            environ=dict(os.environ),
            lifeline_fd=reading,
            ping_every_s=0.2,
        )

        async def build() -> None:
            async with running(config) as client:
                await client.ensure_environment(model.environment)

                async def done() -> bool:
                    return (await client.observe()).environments[model.environment.key].state != "BUILDING"

                await until(done, 240)
                found = (await client.observe()).environments[model.environment.key]
                assert found.state == "READY", found.message

        asyncio.run(build())
        yield config
        os.close(writing)
        os.close(reading)


def wish(model: ModelDescription, replica_id: str, **variables: str) -> ReplicaSpec:
    return ReplicaSpec(
        id=replica_id, endpoint_id="e1", endpoint_name="churn", entity_name="churn-1", deployment_key="d1",
        environment_key=model.environment.key, model_path=model.path, model_name=model.full_name, model_version="1", slots=2,
        environment_vars=variables, memory_bytes=8 * 1024**3,
    )  # fmt: skip


async def predict(address: str) -> object:
    server = await Server.connect(address)
    told, answer = await server.ask(BODY)
    assert told["status"] == 200, answer
    server.writer.close()
    return answer


def test_a_model_is_served_from_a_fork_and_survives_its_agent(model, built):
    async def scenario() -> None:
        with agent_process(built) as (process, client):
            await answering(client)
            await client.start_replica(wish(model, "r1"))
            first = await until_replica(client, "READY", deadline_s=120)
            assert first.how == "fork", first.how
            server = await Server.connect(first.address)
            told, answer = await server.ask(BODY)
            assert told["status"] == 200
            assert answer["predictions"] == [pytest.approx(8.0)]

            warm = built.data_dir / "environments" / model.environment.key / "warm_modules.json"
            await until(warm.exists)
            assert "sklearn.linear_model" in warm.read_text()
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert (await server.ask(BODY))[0]["status"] == 200
            server.writer.close()
        async with running(built) as client:
            found = (await client.observe()).replicas["r1"]
            assert (found.state, found.pid) == ("READY", first.pid)
            await predict(found.address)
            await client.start_replica(wish(model, "r2"))  # from a zygote that has learned
            second = await until_replica(client, "READY", "r2", deadline_s=120)
            assert second.how == "fork", second.how
            await predict(second.address)
            assert (await client.usage())["r2"]["rss_bytes"] > 10_000_000
            await client.stop_replica("r1", drain=True)
            await until_gone(client)
            assert not processes.start_ticks(first.pid)

    asyncio.run(scenario())


def test_a_fresh_process_serves_as_well(model, built):
    async def scenario() -> None:
        async with running(replace(built, replicas=ReplicaSettings(zygotes=False))) as client:
            await client.start_replica(wish(model, "r3", OWN="x"))
            found = await until_replica(client, "READY", "r3", deadline_s=120)
            assert found.how.startswith("exec: ")
            await predict(found.address)

    asyncio.run(scenario())


def test_a_model_that_does_not_load_says_why(model, built, tmp_path):
    (tmp_path / "MLmodel").write_text((Path(model.path) / "MLmodel").read_text())

    async def scenario() -> None:
        async with running(built) as client:
            await client.start_replica(replace(wish(model, "r4"), model_path=str(tmp_path)))
            found = await until_replica(client, "FAILED", "r4", deadline_s=120)
            assert "model.pkl" in found.message
            assert "Last log lines:" in found.message
            assert "r4 CRITICAL" in logs.read_service_logs(Path(found.log_path).parent, 100_000)

    asyncio.run(scenario())


def test_a_replica_killed_by_hand_says_so(model, built):
    async def scenario() -> None:
        async with running(built) as client:
            await client.start_replica(wish(model, "r5"))
            found = await until_replica(client, "READY", "r5", deadline_s=120)
            os.kill(found.pid, signal.SIGKILL)
            failed = await until_replica(client, "FAILED", "r5")
            assert "killed by SIGKILL" in failed.message

    asyncio.run(scenario())
