"""Secrets of a replica: in its own environment and nowhere else — no file, no name, no /proc, no other replica."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import json
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.agent_house import Server, agent_process, answering, replica, running, until, until_replica

from headgate.replicas.agent_config import AgentConfig
from headgate.replicas.runtime import ReplicaSpec
from headgate_worker import redaction
from headgate_worker.logs import ServiceLog

CANARY = "canary-of-the-agent-77"
REFERENCE = "{{secrets/team/key}}"
FORMS = (CANARY.encode(), base64.b64encode(CANARY.encode()), CANARY.encode().hex().encode())


@pytest.fixture
def housed(config: AgentConfig) -> Iterator[AgentConfig]:
    reading, writing = os.pipe()
    yield dataclasses.replace(config, lifeline_fd=reading)
    os.close(writing)
    os.close(reading)


def secret(replica_id: str = "r1", value: str = CANARY, **variables: str) -> ReplicaSpec:
    return dataclasses.replace(replica(replica_id, KEY=REFERENCE, **variables), secret_vars={"KEY": value})


def written(config: AgentConfig) -> Iterator[tuple[Path, bytes]]:
    for root in (config.data_dir, config.run_dir):
        for path in root.rglob("*"):
            if path.is_file():
                yield path, str(path).encode() + path.read_bytes()


def check_nothing_written(config: AgentConfig) -> None:
    assert [path for path, content in written(config) if any(form in content for form in FORMS)] == []


async def seen_by(address: str) -> Mapping[str, Any]:
    server = await Server.connect(address)
    _, answer = await server.ask(b"{}")
    server.writer.close()
    environ: Mapping[str, Any] = answer["environ"]
    return environ


def environ_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes() + Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.mark.parametrize("variables", [{}, {"REFUSE": "1"}, {"BROKEN": "1"}], ids=["forked", "refused", "no zygote"])
def test_a_secret_is_in_its_replicas_environment_and_in_no_file_or_proc(housed, variables, caplog):
    caplog.set_level(logging.DEBUG)

    async def scenario():
        async with running(housed) as client:
            await client.start_replica(secret(**variables))
            found = await until_replica(client, "READY")
            environ = await seen_by(found.address)
            assert environ["KEY"] == CANARY
            for name in os.listdir("/proc"):
                with contextlib.suppress(OSError):
                    assert not name.isdigit() or CANARY.encode() not in environ_of(int(name))
            check_nothing_written(housed)
            assert found.how.startswith("exec") == bool(variables)

    asyncio.run(scenario())
    check_nothing_written(housed)
    assert CANARY not in caplog.text


def test_whoever_lacks_a_secret_is_never_forked_from_a_process_that_has_it(housed):
    async def scenario():
        async with running(housed) as client:
            specs = {
                "r1": secret("r1"),
                "r2": secret("r2", "another-value-88"),
                "r3": replica("r3"),
                "r4": replica("r4", KEY=REFERENCE),
                "r5": secret("r5", OTHER="1"),
            }
            expected = {"r1": CANARY, "r2": "another-value-88", "r3": None, "r4": REFERENCE, "r5": CANARY}
            for replica_id, spec in specs.items():
                await client.start_replica(spec)
                found = await until_replica(client, "READY", replica_id)
                environ = await seen_by(found.address)
                assert environ.get("KEY") == expected[replica_id] and found.how == "fork"
                assert [name for name, value in environ.items() if CANARY in value and name != "KEY"] == []

    asyncio.run(scenario())


def test_a_rewritten_secret_leaves_no_warm_process_with_the_old_value(housed):
    async def scenario():
        async with running(housed) as client:
            for replica_id, value in (("r1", "the old value"), ("r2", "the new value")):
                await client.start_replica(secret(replica_id, value))
                await until_replica(client, "READY", replica_id)
            await client.stop_replica("r1", drain=False)
            await until(lambda: len(holders(b"the old value")) == 0)
            assert len(holders(b"the new value")) == 2  # a replica and its zygote

    def holders(value: bytes) -> list[int]:
        """Processes of this agent's replicas and zygotes whose memory says so: the stand-in keeps its variables there."""
        found = []
        for name in os.listdir("/proc"):
            with contextlib.suppress(OSError, ValueError):
                pid = int(name)
                if str(housed.run_dir).encode() in Path(f"/proc/{pid}/cmdline").read_bytes() and value in memory_of(
                    pid
                ):
                    found.append(pid)
        return found

    asyncio.run(scenario())


def memory_of(pid: int) -> bytes:
    """Heap and anonymous memory of a process."""
    content = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            where, mode, _, _, inode, *_ = line.split()
            if "rw" in mode and inode == "0":
                start, end = (int(part, 16) for part in where.split("-"))
                with contextlib.suppress(OSError):
                    memory.seek(start)
                    content.append(memory.read(end - start))
    return b"".join(content)


def test_the_next_agent_adopts_a_replica_whose_secret_it_does_not_know(housed):
    async def scenario():
        with agent_process(housed) as (process, client):
            await answering(client)
            await client.start_replica(secret())
            before = await until_replica(client, "READY")
            process.kill()
            process.wait()
        check_nothing_written(housed)
        async with running(housed) as client:
            after = await until_replica(client, "READY")
            assert after.pid == before.pid and (await seen_by(after.address))["KEY"] == CANARY
            # None is warmed with variables that lack the secret.
            warmed = [json.loads(path.read_text()) for path in housed.zygote_folders.glob("*.json")]
            assert [told for told in warmed if told["environment_vars"]] == []
            await client.start_replica(secret("r2"))
            found = await until_replica(client, "READY", "r2")
            assert (await seen_by(found.address))["KEY"] == CANARY

    asyncio.run(scenario())


def test_why_a_replica_failed_is_told_without_its_secrets(config):
    async def scenario():
        async with running(config) as client:
            # The stand-in writes this into its log and status, as native code does: past any redaction of the worker's.
            await client.start_replica(
                dataclasses.replace(replica(), secret_vars={"BEHAVE": "fail", "KEY": "behaving fail"})
            )
            found = await until_replica(client, "FAILED")
            assert "[REDACTED]" in found.message and "behaving fail" not in found.message

    asyncio.run(scenario())


def test_a_specification_does_not_show_its_secrets():
    assert CANARY not in repr(secret()) and secret().plain_vars == {}


def test_what_a_worker_says_is_redacted(tmp_path: Path) -> None:
    value = 'pa"ss\nword-of-two-lines ü'
    redaction.remember([value, "short"])
    try:
        log = ServiceLog("r1")
        descriptors = [os.dup(1), os.dup(2)]
        try:
            log.open(str(tmp_path / "log"), "r1", 0)
            log.record("stdout", f"the key is {value}, short")
            log.record("stdout", "line by line: word-of-two-lines ü")
        finally:
            for number, descriptor in enumerate(descriptors, start=1):
                os.dup2(descriptor, number)
                os.close(descriptor)
        text = (tmp_path / "log").read_text()
        assert "word-of-two" not in text and text.count("[REDACTED]") == 2 and ", short" in text
        for ascii_only in (True, False):
            body = json.dumps({"message": value}, ensure_ascii=ascii_only).encode()
            assert json.loads(redaction.redacted_bytes(body)) == {"message": "[REDACTED]"}
    finally:
        redaction.remember([])
    assert redaction.redacted(value) == value
