"""Memory and CPU limits of a replica: cgroup v2 where the machine lets us, else a data-size rlimit. Called by the agent.

A limit that cannot be set never fails a start; which kind is in force is logged once.
"""

from __future__ import annotations

import logging
import os
import resource
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

logger = logging.getLogger(__name__)

_CPU_PERIOD_US = 100_000


@dataclass(frozen=True, slots=True)
class Limit:
    """Bounds of one replica; 0 means none."""

    memory_bytes: int = 0
    cpu_cores: float = 0.0


class Limiter(Protocol):
    """Bounds processes."""

    def apply(self, replica_id: str, pid: int, limit: Limit) -> None:
        """Bounds a process (and its later children)."""

    def ran_out_of_memory(self, replica_id: str) -> bool:
        """Whether the kernel killed it for its memory limit."""

    def forget(self, replica_id: str) -> None:
        """The process has ended."""


class RlimitLimiter:
    """Bounds writable memory (RLIMIT_DATA); cannot bound CPU. A model over its limit gets a MemoryError."""

    def apply(self, replica_id: str, pid: int, limit: Limit) -> None:
        if limit.memory_bytes:
            try:
                resource.prlimit(pid, resource.RLIMIT_DATA, (limit.memory_bytes, limit.memory_bytes))
            except ProcessLookupError:
                pass  # it has ended already
            except (OSError, ValueError) as error:
                logger.warning("replica %s runs without a memory limit: %s", replica_id, error)

    def ran_out_of_memory(self, replica_id: str) -> bool:
        return False

    def forget(self, replica_id: str) -> None:
        pass


class CgroupLimiter:
    """One cgroup per replica under `root` (an existing, writable cgroup v2 folder with memory and cpu enabled)."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._fallback = RlimitLimiter()

    def apply(self, replica_id: str, pid: int, limit: Limit) -> None:
        folder = self._root / replica_id
        try:
            folder.mkdir(exist_ok=True)
            if limit.memory_bytes:
                (folder / "memory.max").write_text(str(limit.memory_bytes))
                self._without_swap(folder)
            if limit.cpu_cores:
                (folder / "cpu.max").write_text(f"{int(limit.cpu_cores * _CPU_PERIOD_US)} {_CPU_PERIOD_US}")
            (folder / "cgroup.procs").write_text(str(pid))
        except ProcessLookupError:
            pass  # it has ended already
        except OSError as error:
            logger.warning("no cgroup for replica %s: %s", replica_id, error)
            self._fallback.apply(replica_id, pid, limit)

    def _without_swap(self, folder: Path) -> None:
        try:
            (folder / "memory.swap.max").write_text("0")
        except OSError:
            pass  # a kernel without swap accounting

    def ran_out_of_memory(self, replica_id: str) -> bool:
        try:
            events = (self._root / replica_id / "memory.events").read_text()
        except OSError:
            return False
        return any(line.split() != ["oom_kill", "0"] for line in events.splitlines() if line.startswith("oom_kill "))

    def forget(self, replica_id: str) -> None:
        try:
            (self._root / replica_id).rmdir()
        except OSError:
            pass  # not made, or a process the model started still lives there


def discover(is_ours: Callable[[int], bool] | None = None) -> Limiter:
    """The best limiter this machine allows. `is_ours(pid)` says which processes may be moved inside our cgroup."""
    try:
        root = _prepare(_own_cgroup(), is_ours or _belongs_to_the_house)
    except (OSError, ValueError) as error:
        logger.info(
            "replica limits: cgroup v2 cannot be used (%s); memory is bounded by rlimit, CPU is not bounded", error
        )
        return RlimitLimiter()
    logger.info("replica limits: cgroup v2 at %s", root)
    return CgroupLimiter(root)


def _own_cgroup() -> Path:
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    mount = next((Path(fields[1]) for fields in mounts if fields[2] == "cgroup2"), None)
    if mount is None:
        raise ValueError("it is not mounted")
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    own = next((line[3:] for line in lines if line.startswith("0::")), "/")
    return mount / own.lstrip("/")


def _prepare(own: Path, is_ours: Callable[[int], bool]) -> Path:
    """Makes `own/headgate` ready to hold replicas. A cgroup that hands controllers down may hold no process itself
    (the root aside), so our own processes move into a leaf first, and only if the cgroup holds nobody else's.
    Raises OSError or ValueError."""
    if own.name == "headgate-house":  # an earlier agent of this house has moved us
        own = own.parent
    available = (own / "cgroup.controllers").read_text().split()
    missing = {"memory", "cpu"} - set(available)
    if missing:
        raise ValueError(f"{own} has no {' and '.join(sorted(missing))} controller")
    if not os.access(own / "cgroup.subtree_control", os.W_OK):
        raise ValueError(f"{own} is not writable; delegate it, e.g. with Delegate=yes in a systemd unit")
    enabled = (own / "cgroup.subtree_control").read_text().split()
    if not {"memory", "cpu"} <= set(enabled):
        if (own / "cgroup.type").exists():  # the root has none
            _vacate(own, is_ours)
        (own / "cgroup.subtree_control").write_text("+memory +cpu")
    root = own / "headgate"
    root.mkdir(exist_ok=True)
    (root / "cgroup.subtree_control").write_text("+memory +cpu")
    return root


def _vacate(own: Path, is_ours: Callable[[int], bool]) -> None:
    pids = [int(line) for line in (own / "cgroup.procs").read_text().split()]
    strangers = [pid for pid in pids if not is_ours(pid)]
    if strangers:
        raise ValueError(f"{own} also holds processes that are not ours, e.g. {strangers[0]}")
    leaf = own / "headgate-house"
    leaf.mkdir(exist_ok=True)
    for pid in pids:
        (leaf / "cgroup.procs").write_text(str(pid))


def _belongs_to_the_house(pid: int) -> bool:
    """Whether it is our parent (the supervisor), or a descendant of it."""
    house = os.getppid()
    while pid > 1:
        if pid == house:
            return True
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return False
    return pid == house
