"""What a new agent does with the replicas it finds: adopts those of this house that live, ends and sweeps the others.

Called once, before the agent answers anybody: control must not see a living replica as absent.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from pathlib import Path

from headgate.clock import within
from headgate.replicas.life import processes
from headgate.replicas.life.folder import Record, ReplicaFolder, Status
from headgate.replicas.life.link import Link
from headgate.replicas.life.replica import ReplicaLife, Surroundings
from headgate.replicas.runtime import ObservedState

logger = logging.getLogger(__name__)

_CONNECT_TIMEOUT_S = 5.0
_PONG_TIMEOUT_S = 3.0


async def adopt_all(around: Surroundings) -> list[ReplicaLife]:
    """The living replicas of this house. Everything else found in the folder is ended and deleted."""
    root = around.config.replica_folders
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    folders = [ReplicaFolder(path) for path in sorted(root.iterdir()) if path.is_dir()]
    found = await asyncio.gather(*(_adopt(around, folder) for folder in folders))
    adopted = [life for life in found if life is not None]
    if folders:
        logger.info("adopted %d of %d replicas found", len(adopted), len(folders))
    return adopted


async def _adopt(around: Surroundings, folder: ReplicaFolder) -> ReplicaLife | None:
    record, status = folder.read_record(), folder.read_status(again=True)
    process = _living(record, status)
    if process is None:
        folder.delete()
        return None
    refusal = await _refusal(around, folder, record, status)
    if record is None or refusal:
        logger.info("ending replica %s: %s", folder.path.name, refusal)
        process.send_signal(signal.SIGKILL)
        await process.wait(_CONNECT_TIMEOUT_S)
        process.close()
        folder.delete()
        return None
    life = ReplicaLife(record.spec, around, how=record.how, process=process)
    life.lacks_secrets = record.lacks_secrets
    if status is not None and status.state in ("READY", "DRAINING"):
        life.take_over_serving(ObservedState(status.state))
    if life.state is ObservedState.DRAINING:
        life.stop(drain=True)
    return life


def _living(record: Record | None, status: Status | None) -> processes.Watched | None:
    """The replica's process if it lives: the pid alone may be another process by now."""
    told = record if record is not None and record.start_ticks else status
    if told is None or not told.pid:
        return None
    process = processes.Watched(told.pid)
    if processes.start_ticks(told.pid) != told.start_ticks:
        process.close()
        return None
    return process


async def _refusal(around: Surroundings, folder: ReplicaFolder, record: Record | None, status: Status | None) -> str:
    """Why a living one is not adopted; empty when it is. One that is still loading answers nobody, and is adopted as it is."""
    if record is None:
        return "there is no record of it"
    if record.house != around.config.house:
        return "it belongs to a house that is gone"
    if status is None or status.state == "STARTING":
        return ""
    try:
        link = await Link.connect(str(folder.socket), _CONNECT_TIMEOUT_S)
    except (OSError, asyncio.TimeoutError):
        # A draining one listens no more.
        return "" if status.state == "DRAINING" else "it accepts no connection"
    link.ping()
    try:
        await within(_PONG_TIMEOUT_S, link.answered.wait())
    except asyncio.TimeoutError:
        pass  # it may hold the interpreter lock; the health rule will tell
    link.close()
    return "" if status.state in ("READY", "DRAINING") else f"it is {status.state}"


def sweep_zygotes(folder: Path) -> None:
    """Deletes what the zygotes of an earlier agent left; they end with its sockets."""
    if folder.is_dir():
        for name in os.listdir(folder):
            (folder / name).unlink(missing_ok=True)
