"""The environments of this machine: ensures, shares, remembers and deletes them. Called by the agent.

An environment is the folder `<root>/<key>`; it exists if and only if its `state.json` says READY there. It is built in
`<key>.building`, renamed, proven to work where it is, and then called READY: a killed build leaves nothing that could be taken for one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from headgate.domain.environment import EnvironmentSpec
from headgate.replicas.building import build, commands, local
from headgate.replicas.building.build import BuildFailed, Workshop
from headgate.replicas.building.build_log import BuildLog
from headgate.replicas.models import Models
from headgate.replicas.runtime import EnvironmentState, ObservedEnvironment

logger = logging.getLogger(__name__)

_TOUCH_EVERY_S = 60.0


@dataclass(slots=True)
class _Environment:
    observed: ObservedEnvironment
    task: asyncio.Task[None] | None = None
    failed_at: float = 0.0
    build_ms: float = 0.0
    """How long it was built, until somebody has taken note."""


@dataclass(slots=True)
class Environments:
    """All environments of this machine. Used on one event loop."""

    root: Path
    logs: Path
    """Folder of the build logs."""
    workshop: Workshop
    changed: Callable[[str], None]
    """Called with the key after an environment's state changed."""
    prove: Callable[[EnvironmentSpec, Path, BuildLog], Awaitable[None]]
    """Imports MLflow in the built environment in that folder. Raises BuildFailed."""
    models: Models = field(default_factory=Models)
    """Where requirements are found that are files of a model."""
    _known: dict[str, _Environment] = field(default_factory=dict)
    _background: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    _compiler: asyncio.Task[None] | None = None
    _parallel: asyncio.Semaphore = field(init=False)
    _retained: frozenset[str] | None = None
    _touched_at: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._parallel = asyncio.Semaphore(max(self.workshop.settings.parallel_builds, 1))

    def load(self) -> None:
        """Finds the environments on disk and sweeps what killed builds and deletions left."""
        self.root.mkdir(parents=True, exist_ok=True)
        for folder in self.root.iterdir():
            state = _read_state(folder)
            if state is None or os.path.isabs(str(state["python"])):  # our own packages may have changed since
                shutil.rmtree(folder, ignore_errors=True)
                continue
            lock = (folder / "lock.txt").read_text()
            ready = ObservedEnvironment(folder.name, EnvironmentState.READY, lock=lock)
            self._known[folder.name] = _Environment(ready)
            if not state.get("compiled"):
                self._background.put_nowait(folder.name)
        self._compiler = asyncio.create_task(self._compile_in_background())

    def ensure(self, spec: EnvironmentSpec) -> None:
        """Starts a build unless the environment exists or is being built."""
        known = self._known.get(spec.key)
        if known is not None and known.observed.state is not EnvironmentState.FAILED:
            return
        building = _Environment(ObservedEnvironment(spec.key, EnvironmentState.BUILDING))
        self._known[spec.key] = building
        building.task = asyncio.create_task(self._make(spec))
        self.changed(spec.key)

    def observed(self) -> dict[str, ObservedEnvironment]:
        """Every environment with its state."""
        return {key: item.observed for key, item in self._known.items()}

    def is_ready(self, key: str) -> bool:
        known = self._known.get(key)
        return known is not None and known.observed.state is EnvironmentState.READY

    def python(self, key: str) -> str:
        """Path of a READY environment's interpreter."""
        return python_of(self.root / key)

    def take_build_ms(self, key: str) -> float:
        """How long its build took, in milliseconds, told once: to the first replica that waited for it. Else 0."""
        known = self._known.get(key)
        if known is None:
            return 0.0
        taken, known.build_ms = known.build_ms, 0.0
        return taken

    def note_use(self, key: str) -> None:
        """A replica is started in it. Remembered on disk, for `last_used` of a later agent."""
        with contextlib.suppress(OSError):  # not learned yet
            os.utime(self.warm_modules(key))

    def last_used(self, count: int) -> list[str]:
        """READY environments that replicas were started in, the one used last first; those whose zygote knows what to import."""
        used: dict[str, float] = {}
        for key in self._known:
            with contextlib.suppress(OSError):
                used[key] = self.warm_modules(key).stat().st_mtime
        return sorted(filter(self.is_ready, used), key=lambda key: -used[key])[: max(0, count)]

    def warm_modules(self, key: str) -> Path:
        """File with the modules its zygote imports."""
        return self.root / key / "warm_modules.json"

    def retain(self, keys: frozenset[str]) -> None:
        """Notes which environments are in use now."""
        self._retained = keys
        now = time.monotonic()
        for key in keys:
            if now - self._touched_at.get(key, -_TOUCH_EVERY_S) >= _TOUCH_EVERY_S and self.is_ready(key):
                self._touched_at[key] = now
                os.utime(self.root / key)

    async def collect(self, in_use: frozenset[str]) -> list[str]:
        """Deletes what nobody has retained for the retention time; keys in `in_use` (by replicas) stay. Returns the deleted ones."""
        if self._retained is None:
            return []  # control has not spoken yet
        keep = self._retained | in_use
        expired = [
            key for key in self._known if key not in keep and self._unused_s(key) > self.workshop.settings.retention_s
        ]
        for key in expired:
            del self._known[key]
            self._touched_at.pop(key, None)
            (self.logs / f"{key}.log").unlink(missing_ok=True)
            await asyncio.to_thread(_delete, self.root / key)
            logger.info("deleted environment %s: nobody refers to it", key)
            self.changed(key)
        if expired:
            await asyncio.to_thread(self.workshop.bytecode.prune)
        return expired

    async def close(self) -> None:
        """Cancels builds and waits for them."""
        tasks = [item.task for item in self._known.values() if item.task is not None]
        tasks += [self._compiler] if self._compiler is not None else []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _unused_s(self, key: str) -> float:
        known = self._known[key]
        if known.observed.state is EnvironmentState.BUILDING:
            return 0.0
        if known.observed.state is EnvironmentState.FAILED:
            return time.monotonic() - known.failed_at
        try:
            return time.time() - (self.root / key).stat().st_mtime
        except OSError:
            return float("inf")

    async def _make(self, spec: EnvironmentSpec) -> None:
        known, began = self._known[spec.key], time.monotonic()
        try:
            async with self._parallel:
                lock = await self._build(spec)
            known.build_ms = round((time.monotonic() - began) * 1000.0, 3)
            known.observed = ObservedEnvironment(spec.key, EnvironmentState.READY, lock=lock)
        except (BuildFailed, OSError) as error:
            message = f"The environment could not be built: {error}"
            known.observed = ObservedEnvironment(spec.key, EnvironmentState.FAILED, message=message)
            known.failed_at = time.monotonic()
            logger.warning("environment %s could not be built: %s", spec.key, str(error).partition("\n")[0])
        finally:
            known.task = None
            self.changed(spec.key)

    async def _build(self, spec: EnvironmentSpec) -> str:
        building, folder = self.root / f"{spec.key}.building", self.root / spec.key
        await asyncio.to_thread(_delete, building)
        building.mkdir(parents=True)
        try:
            with BuildLog(self.logs / f"{spec.key}.log") as log:
                async with self.models.held(spec.model_path):
                    return await self._fill(spec, building, log)
        except BaseException:
            await asyncio.to_thread(_delete, building)
            await asyncio.to_thread(_delete, folder)
            raise

    async def _fill(self, spec: EnvironmentSpec, building: Path, log: BuildLog) -> str:
        started, folder = time.monotonic(), self.root / spec.key
        own = self._local(spec, log)
        lock = local.lock() if own else await build.build(self.workshop, spec, building, log)
        (building / "lock.txt").write_text(lock)
        (building / "spec.json").write_text(json.dumps(asdict(spec)))
        (building / "state.json").unlink(missing_ok=True)
        await asyncio.to_thread(_delete, folder)
        await asyncio.to_thread(building.rename, folder)
        if not own:
            await self.prove(spec, folder, log)
        python = sys.executable if own else "venv/bin/python"
        _write_state(folder, {"state": "READY", "python": python, "compiled": own})
        log.write(f"ready after {time.monotonic() - started:.1f} s")
        if not own:
            self._background.put_nowait(spec.key)
        return lock

    def _local(self, spec: EnvironmentSpec, log: BuildLog) -> bool:
        if self.workshop.settings.mode != "local":
            return False
        reason = local.mismatch(spec)
        if reason:
            log.write(f"the server's own environment cannot be used ({reason}); building one with uv")
        else:
            log.write(f"using the server's own environment, {sys.prefix}")
        return not reason

    async def _compile_in_background(self) -> None:
        """Compiles the rest of each new environment at the lowest priority, one at a time."""
        while True:
            key = await self._background.get()
            folder, store = self.root / key, self.workshop.bytecode
            try:
                await store.share_rest(folder, commands.build_environ(self.workshop.environ))
            except (commands.CommandFailed, OSError) as error:
                logger.warning("bytecode of environment %s: %s", key, getattr(error, "output", error))
            if self.is_ready(key):
                _write_state(folder, {**(_read_state(folder) or {}), "compiled": True})
            await asyncio.to_thread(store.prune)


def python_of(folder: Path) -> str:
    """Path of the interpreter of the environment in `folder`; empty when there is no environment."""
    state = _read_state(folder)
    return str(folder / str(state["python"])) if state else ""


def _read_state(folder: Path) -> dict[str, object] | None:
    """The state of a finished environment, else None."""
    try:
        state = json.loads((folder / "state.json").read_text())
    except (OSError, ValueError):
        return None
    if not isinstance(state, dict) or state.get("state") != "READY" or folder.suffix:
        return None
    return state if (folder / str(state.get("python"))).exists() else None


def _write_state(folder: Path, state: dict[str, object]) -> None:
    temporary = folder / "state.tmp"
    temporary.write_text(json.dumps(state))
    temporary.replace(folder / "state.json")


def _delete(folder: Path) -> None:
    """Deletes a folder so that a killed deletion leaves no half environment: it loses its name first."""
    if folder.exists():
        doomed = folder.with_suffix(".deleting")
        shutil.rmtree(doomed, ignore_errors=True)
        folder.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)
