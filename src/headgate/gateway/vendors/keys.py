"""Opens the keys of vendors ahead of requests: when an entity comes into the routing table, and again when a secret has changed.

Off the event loop. While the store is away the last keys stay in use. Never logs or shows a value; messages name scope and key.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from headgate import errors
from headgate.access.secrets import SecretUnavailable
from headgate.clock import Clock, within
from headgate.domain.external_model import ExternalModel
from headgate.gateway.vendors.vendor import Opened, Vendor, opened
from headgate.telemetry import metrics
from headgate.telemetry.counting import Metrics

logger = logging.getLogger(__name__)

POLL_S = 5.0
"""A notice is a hint; so often the store is asked whether a secret has changed, and what could not be opened is tried again."""

OpenTarget = Callable[[ExternalModel], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class KeySource:
    """Both calls block and run in a thread; both may raise anything."""

    open_target: OpenTarget
    """The flat config in plain text. Raises SecretUnavailable or a HeadgateError for what is wrong with the config itself."""
    revision: Callable[[], int]
    """Grows with every change of any secret."""


def _none(_model: ExternalModel) -> Mapping[str, str]:
    raise errors.NotSupported("External models are not supported by this server.")


NO_KEYS = KeySource(_none, lambda: 0)
"""Where there is nobody who opens them."""


class Keys:
    """See the module. `vendors`: all that there are now."""

    def __init__(
        self, source: KeySource, vendors: Callable[[], Iterable[Vendor]], clock: Clock, counted: Metrics
    ) -> None:
        self._source = source
        self._vendors = vendors
        self._clock = clock
        self._failures = counted.number(metrics.KEY_FAILURES)
        self._hinted = asyncio.Event()
        self._seen: int | None = None
        self._failing = False

    def hint(self) -> None:
        """There is a new entity, or a secret has changed: look now."""
        self._hinted.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._hinted.clear()
            await self.look()
            try:
                await within(POLL_S, self._hinted.wait())
            except asyncio.TimeoutError:
                pass

    async def look(self) -> None:
        """Opens what is not open, and what may have changed. Never raises."""
        vendors = list(self._vendors())
        if not vendors:
            return
        revision = await asyncio.to_thread(self._revision)
        changed = revision is not None and revision != self._seen
        due = [vendor for vendor in vendors if vendor.opened is None or (changed and vendor.model.references)]
        away = ""
        for vendor in due:
            came = await asyncio.to_thread(self._open, vendor.model)
            if isinstance(came, Opened):
                vendor.open(came)
            elif isinstance(came, errors.HeadgateError):
                vendor.cannot_open(came)
            else:
                # Without the message: nobody knows what it quotes.
                away = type(came).__name__
                self._away(vendor)
        if changed and not away:
            self._seen = revision
        if away and not self._failing:
            logger.warning("keys of external models cannot be read (%s); the last ones stay in use", away)
        elif self._failing and not away:
            logger.info("keys of external models can be read again")
        self._failing = bool(away)

    def _revision(self) -> int | None:
        try:
            return self._source.revision()
        except Exception as error:  # noqa: BLE001 - whatever ails the store, the last keys stay in use
            logger.debug("the store does not say whether secrets have changed: %s", type(error).__name__)
            return None

    def _open(self, model: ExternalModel) -> Opened | Exception:
        """In a thread. What came of it: an exception other than HeadgateError means that it may be different in a moment."""
        try:
            return opened(model, self._source.open_target(model), self._clock.now_ms() / 1000.0)
        except SecretUnavailable as error:
            return errors.InvalidState(f"The credentials of external model {model.name} cannot be had: {error}")
        except Exception as error:  # noqa: BLE001 - the store's client raises anything
            return error

    def _away(self, vendor: Vendor) -> None:
        self._failures.add()
        if vendor.opened is None:
            vendor.cannot_open(
                errors.TemporarilyUnavailable(
                    f"The credentials of external model {vendor.model.name} cannot be read right now. Try again in a moment.",
                    headers={"retry-after": str(int(POLL_S))},
                )
            )
