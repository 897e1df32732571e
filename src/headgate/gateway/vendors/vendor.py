"""One served entity of a vendor's: what does not change from request to request, made once, and how the vendor has been doing.

Made by `fleet`, given its keys by `keys`, asked by `attempts`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from headgate import errors
from headgate.clock import within
from headgate.domain import external_model
from headgate.domain.external_model import ExternalModel
from headgate.gateway.vendors.breaker import Breaker
from headgate.language_settings import ProviderSettings
from headgate.providers import catalogue
from headgate.providers.port import CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES, Provider, Target
from headgate.upstream.port import Lane, Patience

if TYPE_CHECKING:
    from headgate.gateway.vendors.tokens import Source

_TASKS = (CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES)
_LONGEST_WAIT_S = 5.0
"""For keys that are being opened: a new entity's first requests wait so long."""


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """A vendor with its keys in plain text."""

    provider: Provider
    targets: Mapping[str, Target]
    """By task."""
    needs_token: bool
    """Whether each request needs a short-lived token beside the keys."""

    @property
    def config(self) -> Mapping[str, str]:
        return self.targets[CHAT].config

    def __repr__(self) -> str:
        """Without the keys."""
        return f"Opened({self.provider.name!r})"


def opened(model: ExternalModel, config: Mapping[str, str], now_s: float) -> Opened:
    """May take milliseconds (a service account's key is tried). Raises InvalidParameterValue for a config that no request can be made with."""
    provider = catalogue.provider(model.provider, config)
    targets = {task: Target(model.provider, model.name, task, config) for task in _TASKS}
    return Opened(provider, targets, provider.token_request(targets[model.task], now_s) is not None)


def lane_name(model: ExternalModel) -> str:
    """On whose account its requests go. A provider at an address that its owner chose is somebody else than the provider itself."""
    hosts = {host for url in external_model.urls(model).values() if (host := urlsplit(url).hostname)}
    return " ".join((model.provider, *sorted(hosts)))


class Vendor:
    """See the module. Its breaker lives as long as its deployment key is in the routing table, its keys until they change."""

    __slots__ = ("_known", "breaker", "lane", "model", "names", "opened", "patience", "problem", "source")

    def __init__(self, model: ExternalModel, settings: ProviderSettings) -> None:
        self.model = model
        self.breaker = Breaker(settings.breaker_failures, settings.breaker_open_s)
        self.patience = Patience(
            settings.connect_s,
            settings.first_byte_s if model.first_byte_s is None else model.first_byte_s,
            settings.idle_s,
            settings.total_s if model.total_s is None else model.total_s,
        )
        self.lane = Lane(lane_name(model), self.patience)
        self.names: frozenset[tuple[str, str]] = frozenset()
        """(endpoint, served entity) that are this one."""
        self.opened: Opened | None = None
        self.source: Source | None = None
        """Where its tokens come from, once one was needed."""
        self.problem: errors.HeadgateError | None = None
        """Why there are no keys."""
        self._known = asyncio.Event()

    def open(self, opened: Opened) -> None:
        """Its keys, for the first time or again. What is the same as before stays the same object, so that tokens do."""
        if self.opened is None or self.opened.config != opened.config:
            self.opened, self.source = opened, None
        self.problem = None
        self._known.set()

    def cannot_open(self, problem: errors.HeadgateError) -> None:
        """Its keys cannot be had any more."""
        self.opened, self.source, self.problem = None, None, problem
        self._known.set()

    def ready(self, now_s: float) -> bool:
        """Whether it is worth asking while others can answer as well. Keys that are just being opened will be there in a moment."""
        return self.problem is None and self.breaker.ready(now_s)

    async def keys(self) -> Opened:
        """Its keys, waited for if need be. Raises HeadgateError saying why there are none."""
        if self.opened is None and self.problem is None:
            try:
                await within(_LONGEST_WAIT_S, self._known.wait())
            except asyncio.TimeoutError:
                raise errors.TemporarilyUnavailable(
                    "The credentials of this served entity could not be read in time. Try again in a moment."
                ) from None
        if self.opened is None:
            problem = self.problem
            assert problem is not None
            raise type(problem)(problem.message, headers=problem.headers)
        return self.opened

    def within(self, left_s: float) -> Lane:
        """Its lane for a request that has only so much time left."""
        patience = self.patience
        if left_s >= patience.total_s:
            return self.lane
        shorter = Patience(patience.connect_s, patience.first_byte_s, patience.idle_s, left_s)
        return Lane(self.lane.name, shorter)
