"""Decides whether a READY replica is alive, from its answers and its CPU use. Asked by `life.replica` every few seconds.

A model may hold Python's interpreter lock for minutes, so silence alone does not mean death: silence without CPU use does,
and so does silence longer than any request may take.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path

from headgate.replicas.agent_config import AgentConfig
from headgate.replicas.life import usage
from headgate.replicas.life.link import Link

_CONNECT_TIMEOUT_S = 2.0
_BUSY_SHARE = 0.02
_AFTER_EXECUTION_S = 30.0


@dataclass(slots=True)
class ReplicaHealth:
    """The health of one replica."""

    config: AgentConfig
    socket: Path
    pid: int
    slots: int
    link: Link | None = None
    _heard_at: float = field(default_factory=time.monotonic)
    _cpu_at_heard_s: float = 0.0
    _stuck_since: float | None = None

    async def connected(self) -> Link | None:
        """The open connection, made anew if need be; None when the worker does not accept one."""
        if self.link is None or not self.link.is_open:
            try:
                self.link = await Link.connect(str(self.socket), _CONNECT_TIMEOUT_S)
            except (OSError, asyncio.TimeoutError):
                self.link = None
        return self.link

    def counted(self) -> dict[str, float]:
        """What the worker has counted, as its last PONG says."""
        if self.link is None:
            return {}
        told = self.link.health
        return {"batches": told.batches, "joined": told.joined, "mismatches": told.mismatches}

    async def verdict(self) -> str:
        """Looks at what came back, asks again; why the replica must be killed, or empty."""
        now = time.monotonic()
        reason = self._stuck(now) or self._silent(now)
        link = await self.connected()
        if link is not None:
            link.ping()
        return reason

    def close(self) -> None:
        if self.link is not None:
            self.link.close()

    def _stuck(self, now: float) -> str:
        if self.link is None or self.link.health.stuck < self.slots:
            self._stuck_since = None
        elif self._stuck_since is None:
            self._stuck_since = now
        elif now - self._stuck_since >= self.config.stuck_s:
            return f"all {self.slots} of its slots execute requests that are past their deadline"
        return ""

    def _silent(self, now: float) -> str:
        used = usage.of_process(self.pid)
        cpu_s = used.cpu_seconds if used is not None else 0.0
        if self.link is not None and self.link.heard_at > self._heard_at:
            self._heard_at, self._cpu_at_heard_s = self.link.heard_at, cpu_s
        silent_s = now - self._heard_at
        if silent_s > self.config.execution_s + _AFTER_EXECUTION_S:
            return f"it has not answered for {silent_s:.0f} s, longer than any request may take"
        if silent_s > self.config.silence_s and cpu_s - self._cpu_at_heard_s < _BUSY_SHARE * silent_s:
            return f"it has not answered for {silent_s:.0f} s and uses no CPU"
        return ""
