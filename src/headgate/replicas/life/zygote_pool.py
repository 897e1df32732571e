"""The zygotes of this machine, one per (environment, environment variables), the least recently used ending first.

Called by the launch of a replica (`get`) and by the agent when an environment's modules became known (`renew`) or it goes
(`drop`). A zygote that cannot be had never stops a start: the caller falls back to a fresh process.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import secrets
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field

from headgate.replicas.agent_config import AgentConfig
from headgate.replicas.building import warming
from headgate.replicas.environments import Environments
from headgate.replicas.life.processes import describe_exit
from headgate.replicas.life.zygote import ForkRefused, Zygote, ZygoteSpec
from headgate.replicas.runtime import ReplicaSpec

logger = logging.getLogger(__name__)

_START_DEADLINE_S = 120.0
_REST_AFTER_FAILURE_S = 60.0
# Names of zygotes become names of files: they must not tell whether somebody guessed a secret.
_NAMING_KEY = secrets.token_bytes(32)


@dataclass(frozen=True, slots=True)
class First:
    """The first zygote of an environment that is not READY yet."""

    python: str
    modules: list[str]


@dataclass(slots=True)
class _Seat:
    """A place for one zygote and how to make it again."""

    name: str
    environment_key: str
    model_path: str
    environment_vars: dict[str, str]
    """As the config has them, references to secrets included."""
    secret_vars: dict[str, str] = field(default_factory=dict, repr=False)
    zygote: Zygote | None = None
    starting: asyncio.Task[Zygote] | None = None
    used_at: float = 0.0
    broken_until: float = 0.0
    reason: str = ""
    count: int = 0
    learned: bool = True
    """Import what a replica has reported; not if that makes the zygote one that must not be forked."""
    first: First | None = None
    """Made when its environment was built, before a replica asked for it."""


@dataclass(slots=True)
class ZygotePool:
    """Zygotes by seat. Used on one event loop."""

    config: AgentConfig
    environments: Environments
    _seats: dict[str, _Seat] = field(default_factory=dict)
    _retired: list[Zygote] = field(default_factory=list)
    """Replaced ones: they stay to tell how their last children ended, or are ending."""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def get(self, spec: ReplicaSpec) -> Zygote:
        """A zygote to fork that replica from, started if need be. Raises ForkRefused."""
        if not self.config.replicas.zygotes:
            raise ForkRefused("zygotes are switched off (setting replicas.zygotes)")
        return await self._zygote(self._seat(spec))

    async def _zygote(self, seat: _Seat) -> Zygote:
        seat.used_at = time.monotonic()
        if seat.zygote is not None and seat.zygote.is_alive:
            return seat.zygote
        if time.monotonic() < seat.broken_until:
            raise ForkRefused(seat.reason)
        return await self._started(seat)

    async def prove(self, environment_key: str, first: First) -> bool:
        """Starts a new environment's zygote for replicas without variables. Whether it is there and could import MLflow."""
        if not self.config.replicas.zygotes:
            return False
        self.drop(environment_key)
        name = _name(environment_key, {})
        seat = self._seats[name] = _Seat(name, environment_key, "", {}, first=first)
        self._make_room()
        try:
            zygote = await self._started(seat)
            if any(reason.startswith("mlflow.pyfunc:") for reason in zygote.skipped):
                raise ForkRefused("it could not import mlflow.pyfunc")
        except ForkRefused:
            self.drop(environment_key)
            return False
        except BaseException:
            self.drop(environment_key)
            raise
        return True

    def start_ahead(self) -> None:
        """Starts those of the environments used last, so that the first requests to a new house find them warm."""
        settings = self.config.replicas
        taken = {seat.environment_key for seat in self._seats.values()}
        count = min(settings.zygotes_ahead, settings.zygote_limit) if settings.zygotes else 0
        for key in self.environments.last_used(count):
            if key not in taken:
                name = _name(key, {})
                self._seats[name] = _Seat(name, key, "", {})
                self._run(self._warm(self._seats[name]))

    def keep_warm(self, spec: ReplicaSpec) -> None:
        """Starts the zygote for such a replica without waiting, e.g. after one died or an agent took over."""
        if self.config.replicas.zygotes and self.environments.is_ready(spec.environment_key):
            self._run(self._warm(self._seat(spec)))

    def renew(self, environment_key: str) -> None:
        """Lets the zygotes of an environment import what is now known."""
        for seat in self._seats.values():
            if seat.environment_key == environment_key and seat.zygote is not None and seat.learned:
                self._run(self._teach(seat, seat.zygote))

    def refused(self, spec: ReplicaSpec) -> None:
        """A zygote refused to fork. If what it had learned to import is to blame, the next one imports the least."""
        seat = self._seats.get(_name_of(spec))
        learned = self.environments.warm_modules(spec.environment_key).exists()
        if seat is not None and seat.zygote is not None and seat.learned and learned:
            seat.learned = False
            self._run(self._replace(seat))

    def drop(self, environment_key: str) -> None:
        """The environment goes."""
        for name in [name for name, seat in self._seats.items() if seat.environment_key == environment_key]:
            self._vacate(self._seats.pop(name))

    async def close(self) -> None:
        """Ends all zygotes."""
        seats, self._seats = list(self._seats.values()), {}
        starting = [seat.starting for seat in seats if seat.starting is not None]
        for task in (*self._tasks, *starting):
            task.cancel()
        await asyncio.gather(*self._tasks, *starting, return_exceptions=True)
        zygotes = [*self._retired, *(seat.zygote for seat in seats if seat.zygote is not None)]
        await asyncio.gather(*(zygote.kill() for zygote in zygotes))

    def _seat(self, spec: ReplicaSpec) -> _Seat:
        name = _name_of(spec)
        if name not in self._seats:
            self._drop_unasked(spec.environment_key)
            self._retire_outdated(spec)
            variables, values = dict(spec.environment_vars), dict(spec.secret_vars)
            self._seats[name] = _Seat(name, spec.environment_key, spec.model_path, variables, values)
            self._make_room()
        seat = self._seats[name]
        seat.model_path = seat.model_path or spec.model_path
        return seat

    def _drop_unasked(self, environment_key: str) -> None:
        """The one made when the environment was built is of no use to replicas with variables."""
        seat = self._seats.get(_name(environment_key, {}))
        if seat is not None and not seat.model_path and seat.zygote is not None:
            self._vacate(self._seats.pop(seat.name))

    def _retire_outdated(self, spec: ReplicaSpec) -> None:
        """Those whose secrets had other values than the same variables have now: nobody will ask for them again."""
        for name, seat in list(self._seats.items()):
            same = seat.environment_key == spec.environment_key and seat.environment_vars == dict(spec.environment_vars)
            if same and seat.secret_vars and seat.starting is None:
                del self._seats[name]
                if seat.zygote is not None:
                    seat.zygote.retire()
                    self._remember_until_ended(seat.zygote)

    def _make_room(self) -> None:
        while len(self._seats) > max(self.config.replicas.zygote_limit, 1):
            idle = [name for name, seat in self._seats.items() if seat.starting is None]
            if len(idle) < 2:
                return
            self._vacate(self._seats.pop(min(idle[:-1], key=lambda name: self._seats[name].used_at)))

    def _vacate(self, seat: _Seat) -> None:
        if seat.starting is not None:
            seat.starting.cancel()
        if seat.zygote is not None:
            seat.zygote.close()
            self._remember_until_ended(seat.zygote)

    async def _started(self, seat: _Seat) -> Zygote:
        if seat.starting is None:
            seat.starting = asyncio.create_task(self._start(seat))
        try:
            return await asyncio.shield(seat.starting)
        except asyncio.CancelledError:
            if seat.starting is not None and seat.starting.cancelled():
                raise ForkRefused("its zygote was ended to make room for others") from None
            raise

    def _died(self, seat: _Seat, zygote: Zygote, born_at: float) -> None:
        """One that was in use is made again, unless it keeps dying."""
        if self._seats.get(seat.name) is not seat or seat.zygote is not zygote:
            return
        seat.zygote = None
        if zygote.is_learning:
            return  # `_teach` knows what to do
        logger.warning("the zygote of environment %s %s", seat.environment_key, describe_exit(zygote.process.status))
        if time.monotonic() - born_at < _REST_AFTER_FAILURE_S:
            seat.broken_until, seat.reason = time.monotonic() + _REST_AFTER_FAILURE_S, "its zygote died"
        else:
            self._run(self._warm(seat))

    async def _start(self, seat: _Seat) -> Zygote:
        try:
            seat.zygote = await self._make(seat)
        except ForkRefused as error:
            seat.broken_until, seat.reason = time.monotonic() + _REST_AFTER_FAILURE_S, str(error)
            logger.warning("no zygote for environment %s: %s", seat.environment_key, error)
            raise
        finally:
            seat.starting = None
        return seat.zygote

    async def _make(self, seat: _Seat) -> Zygote:
        seat.count += 1
        learned = self.environments.warm_modules(seat.environment_key)
        first, seat.first = seat.first, None
        spec = ZygoteSpec(
            name=f"{seat.name}-{seat.count % 2}",
            python=first.python if first else self.environments.python(seat.environment_key),
            environment_vars={
                name: text for name, text in seat.environment_vars.items() if name not in seat.secret_vars
            },
            secret_vars=seat.secret_vars,
            modules=warming.read_modules(learned) if seat.learned else [],
            base_modules=first.modules if first else warming.zygote_modules(warming.flavors_of(seat.model_path)),
        )
        zygote = await Zygote.start(self.config, spec, _START_DEADLINE_S)
        born_at = time.monotonic()
        zygote.process.on_exit(lambda: self._died(seat, zygote, born_at))
        return zygote

    async def _warm(self, seat: _Seat) -> None:
        try:
            await self._zygote(seat)
        except ForkRefused:
            pass  # logged; the next start falls back

    async def _teach(self, seat: _Seat, zygote: Zygote) -> None:
        if not zygote.is_alive:
            return  # the next one learns when it starts
        modules = warming.read_modules(self.environments.warm_modules(seat.environment_key))
        try:
            await zygote.learn(modules, _START_DEADLINE_S)
        except ForkRefused as error:
            if self._seats.get(seat.name) is not seat:
                return  # it was vacated
            logger.warning("the zygote of environment %s could not learn: %s", seat.environment_key, error)
            seat.learned = False
            if seat.zygote is zygote:
                seat.zygote = None
            await self._warm(seat)

    async def _replace(self, seat: _Seat) -> None:
        try:
            fresh = await self._make(seat)
        except ForkRefused as error:
            logger.warning("the zygote of environment %s was not renewed: %s", seat.environment_key, error)
            return
        if self._seats.get(seat.name) is not seat:
            fresh.close()
            self._remember_until_ended(fresh)
            return
        old, seat.zygote = seat.zygote, fresh
        if old is not None:
            old.retire()
            self._remember_until_ended(old)

    def _remember_until_ended(self, zygote: Zygote) -> None:
        self._retired = [item for item in (*self._retired, zygote) if not item.process.exited.is_set()]

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _name_of(spec: ReplicaSpec) -> str:
    return _name(spec.environment_key, {**spec.environment_vars, **spec.secret_vars})


def _name(environment_key: str, variables: Mapping[str, str]) -> str:
    own = json.dumps(dict(variables), sort_keys=True).encode()
    return f"{environment_key}-{hmac.new(_NAMING_KEY, own, hashlib.sha256).hexdigest()[:8]}"
