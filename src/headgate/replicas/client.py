"""The agent seen from another process: `runtime.Runtime` over its control socket. Built by `app.py` for control.

One short connection per call: a restarted agent is found by the next call, and nothing needs to be kept open.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from headgate.clock import within
from headgate.domain.environment import EnvironmentSpec
from headgate.replicas import messages
from headgate.replicas.runtime import Observation, ReplicaSpec, RuntimeUnreachable


class AgentError(Exception):
    """The agent refused a call; a bug on one of both sides."""


@dataclass(frozen=True, slots=True)
class AgentClient:
    """Implements `runtime.Runtime`. Every call raises RuntimeUnreachable when the agent does not answer in time."""

    socket_path: Path
    deadline_s: float = 10.0
    _hearer: messages.ObservationHearer = field(default_factory=messages.ObservationHearer)

    async def ensure_environment(self, spec: EnvironmentSpec) -> None:
        await self._call("ensure_environment", {"spec": asdict(spec)})

    async def start_replica(self, spec: ReplicaSpec) -> None:
        await self._call("start_replica", {"spec": asdict(spec)})

    async def stop_replica(self, replica_id: str, *, drain: bool) -> None:
        await self._call("stop_replica", {"replica_id": replica_id, "drain": drain})

    async def observe(self) -> Observation:
        return self._hearer.from_json(await self._call("observe", {"environments_mark": self._hearer.mark}))

    async def retain(self, environment_keys: frozenset[str]) -> None:
        await self._call("retain", {"environment_keys": sorted(environment_keys)})

    async def usage(self) -> dict[str, dict[str, float]]:
        """`{replica id: {"cpu_seconds", "rss_bytes", "memory_limit_bytes"}}` of the living replicas; a limit of 0 is none. Of READY ones
        also what they count: `batches`, `joined`, `mismatches`."""
        found: dict[str, dict[str, float]] = await self._call("usage", {})
        return found

    async def shutdown(self) -> None:
        """Makes the agent drain and stop every replica, then itself. Returns at once."""
        await self._call("shutdown", {})

    async def close(self) -> None:
        """Nothing is kept open between calls."""

    async def _call(self, method: str, params: dict[str, Any]) -> Any:
        try:
            answer = await within(self.deadline_s, self._exchange(method, params))
        except (OSError, EOFError, ValueError, asyncio.TimeoutError) as error:
            raise RuntimeUnreachable(f"the agent does not answer at {self.socket_path}: {error!r}") from error
        if "error" in answer:
            raise AgentError(f"{method}: {answer['error']}")
        return answer.get("result")

    async def _exchange(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        reader, writer = await asyncio.open_unix_connection(str(self.socket_path), limit=messages.LINE_LIMIT_BYTES)
        try:
            writer.write(json.dumps({"id": 1, "method": method, "params": params}).encode() + b"\n")
            line = await reader.readline()
            if not line:
                raise EOFError("the connection was closed")
            answer: dict[str, Any] = json.loads(line)
            return answer
        finally:
            writer.close()
